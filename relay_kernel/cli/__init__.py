"""The command ``relay``. One file for each command; :data:`COMMANDS` lists them."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Annotated

import typer

from relay_kernel import __version__
from relay_kernel.cli.completion import prepare
from relay_kernel.core.errors import RelayError
from relay_kernel.settings.config import ConfigError

#: Command -> its module here, which has a function or a group of its name (with _ for -).
COMMANDS = (
    *("add", "join", "remove", "status", "doctor", "logs"),
    *("files", "sync", "kernels", "kernelspecs", "demo", "completion"),
    *("hub", "agent", "gateway", "files-plane"),
)

#: Exit status: what was asked failed.
FAILED = 1

#: Exit status: the command line or ``config.toml`` is wrong.
WRONG_USE = 2

_INTERRUPTED = 130


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"relay-kernel {__version__}")
        raise typer.Exit


def build_app() -> typer.Typer:
    """All commands. Their modules load light; what is heavy, they import when they run."""
    app = typer.Typer(
        name="relay",
        help="One notebook over two machines: your PC while it is there, your server when not.",
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )

    @app.callback()
    def relay(
        version: Annotated[
            bool,
            typer.Option("--version", is_eager=True, callback=_show_version, help="Show it."),
        ] = False,
    ) -> None:
        pass

    prepare()
    for name in COMMANDS:
        place = name.replace("-", "_")
        module = importlib.import_module(f"relay_kernel.cli.{place}")
        command = getattr(module, place)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name, hidden=getattr(module, "HIDDEN", False))(command)
    return app


def main(arguments: list[str] | None = None) -> int:
    """Run ``relay`` and return its exit status. Errors are one line each, on stderr.

    Args:
        arguments: Without the program's name; ``None`` takes them from the command line.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        result = build_app()(arguments or ["--help"], prog_name="relay", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except ConfigError as error:
        return _complain(str(error), WRONG_USE)
    except RelayError as error:
        return _complain(str(error), FAILED)
    except (typer.Abort, KeyboardInterrupt):
        return _complain("stopped", _INTERRUPTED)
    except BrokenPipeError:
        # Nobody reads any more; Python would complain of that once again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        # Typer's usage errors have no public root; this is how all of them look.
        shown = getattr(error, "format_message", None)
        if shown is None:
            raise
        return _complain(shown() or "see relay --help", WRONG_USE)


def _complain(line: str, status: int) -> int:
    print(f"relay: {' '.join(line.split())}", file=sys.stderr)
    return status
