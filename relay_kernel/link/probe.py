"""Looks around on a PC with nothing but its shell: what is there, and where the agent is."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relay_kernel import __version__
from relay_kernel.link.errors import DialError, DialStep, MissingAgentError
from relay_kernel.link.reasons import place

if TYPE_CHECKING:
    from relay_kernel.link.ssh import Connection

#: Seconds for the PC to answer; a disk that has to wake up included.
PROBE_TIMEOUT = 20.0

#: The oldest Python that relay-kernel runs on.
OLDEST = (3, 11)

#: Written last into a finished environment; holds the digest of the wheel that is installed there.
MARKER = "relay-wheel"

_BEGIN = "relay-probe"

# One line a fact: a word and its values, separated by tabs. Arguments: our version, the
# interpreter named in config.toml, our Python's minor version, and "all" to list Pythons anyway.
_SCRIPT = r"""
say() { printf '%s' "$1"; shift; printf '\t%s' "$@"; printf '\n'; }
main() {
  say relay-probe 1
  say system "$(uname -s)" "$(uname -m)" "$(getconf GNU_LIBC_VERSION 2>/dev/null)"
  say host "$(uname -n)"
  agents="${RELAY_HOME:+$RELAY_HOME/agents}"
  agents="${agents:-${XDG_DATA_HOME:-$HOME/.local/share}/relay-kernel/agents}"
  say agents "$agents"
  found=
  if [ -n "$2" ]; then
    found=own
    case "$2" in "~/"*) own="$HOME/${2#??}" ;; *) own="$2" ;; esac
    if own="$(command -v "$own" 2>/dev/null)"; then
      say own "$own" "$("$own" -c 'import relay_kernel as r; print(r.__version__)' 2>/dev/null)"
    fi
  else
    for marker in "$agents"/*/relay-wheel; do
      [ -f "$marker" ] && [ -x "${marker%/*}/bin/python" ] || continue
      version="${marker%/*}"; version="${version##*/}"
      say agent "$version" "${marker%/*}/bin/python" "$(cat "$marker")"
      [ "$version" = "$1" ] && found=yes
    done
  fi
  [ -n "$found" ] && [ "$4" != all ] && return
  PATH="$PATH:$HOME/.local/bin:$HOME/bin:/opt/homebrew/bin:$HOME/miniforge3/bin:$HOME/miniconda3/bin"
  for name in "python$3" python3.14 python3.13 python3.12 python3.11 python3 python; do
    path="$(command -v "$name" 2>/dev/null)" || continue
    version="$("$path" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" &&
      say python "$version" "$path"
  done
  uv="$(command -v uv 2>/dev/null)" && say uv "$uv"
}
main "$@" </dev/null
exit 0
"""


@dataclass
class Surroundings:
    """What :func:`probe` found on a PC."""

    system: str = ""
    """``Linux x86_64 glibc 2.36``."""
    host: str = ""
    """What the PC calls itself."""
    agents: str = ""
    """The folder with one environment for each version of the agent."""
    installed: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Version of a finished agent -> its interpreter, the digest of its wheel."""
    own: tuple[str, str] | None = None
    """The interpreter that config.toml names, and the version of relay-kernel in it, empty if
    that cannot be imported; ``None`` if it is not there, or none is named."""
    pythons: list[tuple[tuple[int, int], str]] = field(default_factory=list)
    """Version and path of each Python, the one closest to ours first; empty if not looked for."""
    uv: str | None = None

    def suitable_python(self) -> str | None:
        """The best interpreter that is new enough."""
        return next((path for version, path in self.pythons if version >= OLDEST), None)


async def probe(conn: Connection, *, everything: bool = False) -> Surroundings:
    """Look around on the PC; nothing there is changed.

    Args:
        conn: Logged in.
        everything: List its Pythons also where an agent is there already.

    Raises:
        DialError: The PC has no usable shell, or did not answer.
    """
    minor = "{}.{}".format(*sys.version_info[:2])
    arguments = (__version__, conn.target.python or "", minor, "all" if everything else "")
    # The script goes in as input, so that any login shell will do.
    done = await conn.run(
        f"/bin/sh -s -- {shlex.join(arguments)}", _SCRIPT.encode(), timeout=PROBE_TIMEOUT
    )
    _, begin, facts = done.output.partition(f"{_BEGIN}\t1\n")
    if not begin:
        said = (done.errors or done.output).strip().splitlines()
        raise DialError(
            f"{place(conn.target)} runs no commands over SSH"
            + (f": it said {said[0][:200]!r}" if said else ": it said nothing")
            + "; a login with a shell is needed",
            permanent=True,
            step=DialStep.SHELL,
        )
    return _parse(facts)


def attach_command(conn: Connection, around: Surroundings, plane: str = "") -> str:
    """The command that joins its input and output to the agent on the PC, or to a plane's end.

    Raises:
        DialError: No agent of this version is there; says what to do.
    """
    how = f"--{plane}" if plane else "--attach"
    return shlex.join([agent_python(conn, around), "-m", "relay_kernel.cli", "agent", how])


def agent_python(conn: Connection, around: Surroundings) -> str:
    """The interpreter on the PC that has this version of relay-kernel.

    Raises:
        MissingAgentError: There is none of this version, and one can be installed.
        DialError: There is none; says what to do.
    """
    if conn.target.python is not None:
        return _own_python(conn, around)
    if __version__ in around.installed:
        return around.installed[__version__][0]
    where, name = place(conn.target), conn.target.name
    if around.installed:
        line = f"has the agent of relay-kernel {', '.join(sorted(around.installed))}, but this is "
        line += f"{__version__}: run relay add {name} again"
    elif around.suitable_python() is None:
        raise DialError(f"{where} {no_python(around)}", permanent=True)
    else:
        line = f"has no agent installed: run relay add {name}"
    raise MissingAgentError(f"{where} {line}", permanent=True)


def no_python(around: Surroundings) -> str:
    """The end of a line that says that the PC's Pythons are too old or missing."""
    found = ", ".join(sorted({"{}.{}".format(*version) for version, _ in around.pythons}))
    least = "{}.{}".format(*OLDEST)
    return (
        f"has no Python {least} or newer ({f'only {found}' if found else 'none was found'}): "
        "install one there, then run relay add again"
    )


def _own_python(conn: Connection, around: Surroundings) -> str:
    where, named = place(conn.target), conn.target.python
    if around.own is None:
        raise DialError(
            f"{where} has no {named}, which config.toml names as its python: correct that line",
            permanent=True,
        )
    path, version = around.own
    if version != __version__:
        has = f"relay-kernel {version}" if version else "no relay-kernel"
        raise DialError(
            f"{where}: {named} has {has}, but this is {__version__}: "
            f"run {named} -m pip install relay-kernel=={__version__} there",
            permanent=True,
        )
    return path


def _add_python(around: Surroundings, version: str, path: str) -> None:
    """Take note of an interpreter, once."""
    major, minor = version.split(".")
    found = ((int(major), int(minor)), path)
    if found not in around.pythons:
        around.pythons.append(found)


def _parse(facts: str) -> Surroundings:
    around = Surroundings()
    for line in facts.splitlines():
        word, *values = line.split("\t")
        match word, values:
            case "system", _:
                around.system = " ".join(value for value in values if value)
            case "host", [host]:
                around.host = host
            case "agents", [folder]:
                around.agents = folder
            case "own", [path, version]:
                around.own = (path, version)
            case "agent", [version, path, digest]:
                around.installed[version] = (path, digest)
            case "python", [version, path]:
                _add_python(around, version, path)
            case "uv", [path]:
                around.uv = path
    return around
