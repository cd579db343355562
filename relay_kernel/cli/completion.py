"""``relay completion SHELL``: the script with which a shell completes ``relay``."""

from __future__ import annotations

import os
from enum import Enum
from typing import Annotated

import typer

#: By this variable the shell asks us; its value says what for. Click's convention.
VARIABLE = "_RELAY_COMPLETE"


# A file of zsh's fpath is run when its completion is wanted for the first time, and has to answer;
# sourced, it only says who answers. Typer's script does neither: its first line is empty.
_ZSH = f"""#compdef relay
compdef _relay relay
_relay() {{
  eval $(env _TYPER_COMPLETE_ARGS="${{words[1,$CURRENT]}}" {VARIABLE}=complete_zsh ${{~words[1]}})
}}
if [ "$funcstack[1]" = "_relay" ]; then
  _relay
fi"""


class Shell(Enum):
    """Those that can be told."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(
    shell: Annotated[Shell, typer.Argument(help="bash, zsh or fish.")],
) -> None:
    """Print a script: put its output where your shell reads completions. See the docs."""
    if shell is Shell.ZSH:
        print(_ZSH)
        return
    from relay_kernel.cli import build_app

    os.environ[VARIABLE] = f"source_{shell.value}"
    build_app()([], prog_name="relay", standalone_mode=False)


def prepare() -> None:
    """Let the next run answer the shell, if it is the shell that asks."""
    if VARIABLE in os.environ:
        from typer.completion import completion_init  # type: ignore[attr-defined]

        completion_init()
