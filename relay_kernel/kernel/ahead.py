"""R's first steps: it launches the server's kernel, and then loads itself beside it.

Both take about as long, so a notebook has its first answer in little more time than from a plain
kernel. What is launched here is a guess from the command line; R does without it if it is not
what it wants after all.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from relay_kernel.agent.launch import SCHEME, Launched, launch
from relay_kernel.kernel.arguments import divide, option
from relay_kernel.kernel.setup import Setup, notebook_of
from relay_kernel.settings.paths import find_places

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger(__name__)


def main() -> None:
    """Run R until Jupyter shuts it down."""
    # Loading makes no garbage; the collector is turned on again when all is loaded.
    gc.disable()
    own, others = divide(sys.argv[1:])
    setup, launched = launch_ahead(own, others)
    # Here, not at the top: this is what takes as long as the kernel.
    from relay_kernel.kernel.app import run

    run(own, setup, launched)


def launch_ahead(own: Sequence[str], others: Sequence[str]) -> tuple[Setup, Launched | None]:
    """Launch the server's kernel, if it can be told from R's command line which that is.

    Args:
        own: the part of the command line that is about R.
        others: the part that is for the user's kernels.
    """
    file = option(own, "f", "IPKernelApp.connection_file") or ""
    spec = option(own, "spec", "RelayKernel.spec") or "python3"
    setup = Setup(notebook_of(file), spec, arguments=tuple(others))
    try:
        about = json.loads(Path(file).read_bytes())
        setup.key = str(about["key"]) if about["signature_scheme"] == SCHEME else ""
    except (OSError, ValueError, KeyError, TypeError):
        # R will make a connection file of its own, or say what is wrong with this one.
        return setup, None
    loop = asyncio.new_event_loop()
    try:
        folder = setup.make_folder(find_places().make())
        return setup, loop.run_until_complete(launch(folder, setup.start(far=False)))
    except Exception as error:
        # Whatever it is, it comes again when the kernel is ordered, where the user can be told.
        log.info("no kernel was launched ahead: %s", error)
        return setup, None
    finally:
        loop.close()
