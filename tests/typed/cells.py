"""Runs cells in a kernel called relay, as a notebook does: one line of JSON each, from a terminal.

Says what a cell prints while it does, and how it ended: ``[ended: ok]``, or what error.
"""

from __future__ import annotations

import json
import sys

from jupyter_client.manager import start_new_kernel


def main() -> None:
    manager, client = start_new_kernel(kernel_name="relay")
    print("[ready]", flush=True)
    try:
        for line in sys.stdin:
            reply = client.execute_interactive(
                json.loads(line), allow_stdin=False, output_hook=_show
            )
            error = reply["content"].get("evalue", "")
            print(f"[ended: {reply['content'].get('ename', 'ok')}] {error}", flush=True)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def _show(message: dict[str, dict[str, str]]) -> None:
    print(message["content"].get("text", ""), end="", flush=True)


main()
