"""Puts the agent on a PC that has sshd and a Python: an environment of its own for each version.

The order makes it safe to be cut anywhere: wheels are renamed into place when their digest is
right, and the marker that makes an environment count is written last.
"""

from __future__ import annotations

import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from relay_kernel import __version__
from relay_kernel.link.errors import DialError
from relay_kernel.link.probe import MARKER, Surroundings, agent_python, no_python, probe
from relay_kernel.link.reasons import place
from relay_kernel.link.wheel import Wheel, pack_wheel

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay_kernel.link.ssh import Connection

#: Seconds for one wheel to get over a slow line.
PUSH_TIMEOUT = 300.0

#: Seconds for the environment; pip fetches what relay-kernel needs from the PC's own index.
INSTALL_TIMEOUT = 900.0

#: Seconds for the installed agent to say its version.
CHECK_TIMEOUT = 60.0

#: The exit status of the script below where no environment can be made.
NO_VENV = 3

# Reads a file from its input and puts it in place whole, or not at all. Arguments: path, SHA-256.
# One line, no quote but the double one and no special sign, for the sake of any login shell.
_RECEIVE = "; ".join(
    (
        "import hashlib, os, sys",
        "path, digest = sys.argv[1:]",
        "data = sys.stdin.buffer.read()",
        'hashlib.sha256(data).hexdigest() == digest or sys.exit("it arrived damaged")',
        "os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)",
        "part = path + str(os.getpid())",
        'file = open(part, "wb")',
        "file.write(data)",
        "file.flush()",
        "os.fsync(file.fileno())",
        "os.replace(part, path)",
    )
)

# Arguments: interpreter, environment, folder of wheels, wheel, digest, uv or nothing. The first
# line of what it says on failure is shown to the user; status 3 means that venv does not work.
_INSTALL = r"""
fail() { printf '%s\n' "$1" >&2; exit 1; }
make_env() {
  "$1" -m venv --clear "$2" >"$2.log" 2>&1 && return
  [ -n "$3" ] && "$3" venv --quiet --seed --clear --python "$1" "$2" >"$2.log" 2>&1
}
main() {
  umask 077
  mkdir -p "${2%/*}" || fail "cannot make ${2%/*}"
  [ ! -f "$2/relay-wheel" ] || mv "$2/relay-wheel" "$2/relay-wheel.old"
  [ -x "$2/bin/python" ] && "$2/bin/python" -m pip --version >/dev/null 2>&1 ||
    make_env "$1" "$2" "$6" || exit 3
  "$2/bin/python" -m pip install --no-input --disable-pip-version-check --quiet \
    --find-links "$3" "$4" >"$2.log" 2>&1 &&
  "$2/bin/python" -m pip install --no-input --disable-pip-version-check --quiet \
    --no-deps --force-reinstall "$4" >>"$2.log" 2>&1 ||
    fail "pip failed there: $(grep -m 1 -i error "$2.log" || cat "$2.log")"
  printf '%s' "$5" >"$2/relay-wheel.new" && mv "$2/relay-wheel.new" "$2/relay-wheel"
  rm -f "$2.log" "$2/relay-wheel.old"
}
main "$@" </dev/null
exit 0
"""


@dataclass(frozen=True)
class Installed:
    """The agent on a PC, checked."""

    python: str
    """Its interpreter there."""
    fresh: bool
    """Whether it was installed just now; false where it was there already."""


def _quiet(_: str) -> None:
    """Show nothing."""


async def install_agent(
    conn: Connection, around: Surroundings, *, show: Callable[[str], None] = _quiet
) -> Installed:
    """Make sure that the PC has an agent of this version, and that it runs.

    Nothing is done where the same is there already. Where ``config.toml`` names an interpreter,
    nothing is installed, and its version is checked.

    Args:
        conn: Logged in.
        around: From :func:`probe` with ``everything``.
        show: Called with each step, in a few words, before it is done.

    Raises:
        DialError: With one line that says what is missing on the PC.
    """
    if conn.target.python is not None:
        own = agent_python(conn, around)
        await _check(conn, own)
        return Installed(own, fresh=False)
    with tempfile.TemporaryDirectory(prefix="relay-wheel-") as folder:
        wheel = pack_wheel(Path(folder))
    known = around.installed.get(__version__)
    if known is not None and known[1] == wheel.digest:
        await _check(conn, known[0])
        return Installed(known[0], fresh=False)
    python = around.suitable_python()
    if python is None:
        raise DialError(f"{place(conn.target)} {no_python(around)}", permanent=True)
    wheels = PurePosixPath(around.agents) / "wheels" / wheel.digest[:16]
    # Later, the wheels of all that relay-kernel needs go the same way, for a PC without internet.
    for each in (wheel,):
        show(f"sending {each.name} ({len(each.content) // 1024} KiB)")
        await _push(conn, python, wheels / each.name, each)
    show("installing it there in an environment of its own")
    await _install(conn, around, python, wheels / wheel.name, wheel.digest)
    agent = agent_python(conn, await probe(conn))
    await _check(conn, agent)
    return Installed(agent, fresh=True)


async def _push(conn: Connection, python: str, path: PurePosixPath, wheel: Wheel) -> None:
    command = shlex.join([python, "-c", _RECEIVE, str(path), wheel.digest])
    done = await conn.run(command, wheel.content, timeout=PUSH_TIMEOUT)
    if done.status != 0:
        raise DialError(
            f"{place(conn.target)} could not store {path}: {_last(done.errors)}", permanent=True
        )


async def _install(
    conn: Connection, around: Surroundings, python: str, wheel: PurePosixPath, digest: str
) -> None:
    env = PurePosixPath(around.agents) / __version__
    arguments = [python, str(env), str(wheel.parent), str(wheel), digest, around.uv or ""]
    done = await conn.run(
        f"/bin/sh -s -- {shlex.join(arguments)}", _INSTALL.encode(), timeout=INSTALL_TIMEOUT
    )
    if done.status == NO_VENV:
        raise DialError(
            f"{place(conn.target)}: {python} cannot make a virtual environment: install its venv "
            "module there (Debian, Ubuntu: sudo apt install python3-venv) or uv, then run "
            f"relay add {conn.target.name} again",
            permanent=True,
        )
    if done.status != 0:
        said = (done.errors.strip() or "it said nothing").splitlines()[0]
        raise DialError(f"{place(conn.target)}: {said}", permanent=True)


async def _check(conn: Connection, python: str) -> None:
    """Have the agent's own program load there and say its version."""
    command = shlex.join([python, "-m", "relay_kernel.cli", "--version"])
    done = await conn.run(command, timeout=CHECK_TIMEOUT)
    if done.status != 0 or __version__ not in done.output:
        raise DialError(
            f"{place(conn.target)}: the agent at {python} does not run: {_last(done.errors)}; "
            f"remove its environment there and run relay add {conn.target.name} again",
            permanent=True,
        )


def _last(errors: str) -> str:
    """The last line: where Python says what was wrong."""
    lines = errors.strip().splitlines()
    return lines[-1][:300] if lines else "it said nothing"


assert MARKER in _INSTALL
