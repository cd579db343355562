"""``relay agent --logs``: tells the server what the logs of this PC say.

A line is a JSON list of entries: the first those that were there, each further one what has come.
"""

from __future__ import annotations

import json
import select
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from relay_kernel.settings.logs import Entry, Logs, log_files

if TYPE_CHECKING:
    from relay_kernel.settings.paths import Places

#: What there is on a PC.
KINDS = ("agent", "files", "envs")

#: Seconds between two looks.
LOOK = 0.3


def run_logs(places: Places) -> int:
    """Answer the wish on stdin: ``{"last": N, "follow": BOOL}``; ends with stdin.

    Returns:
        An exit code.
    """
    try:
        wish = json.loads(sys.stdin.buffer.readline())
        count, follow = int(wish["last"]), bool(wish["follow"])
    except (ValueError, KeyError, TypeError) as error:
        print(f"a wish for logs cannot be read: {error}", file=sys.stderr)
        return 1
    files = log_files(places)
    logs = Logs({kind: files[kind] for kind in KINDS})
    try:
        _send(logs.last(count))
        # The server says nothing more: what can be read is its end.
        while follow and not select.select([sys.stdin], [], [], LOOK)[0]:
            new = logs.new()
            if new:
                _send(new)
    except BrokenPipeError:
        return 0
    return 0


def _send(entries: list[Entry]) -> None:
    print(json.dumps([asdict(entry) for entry in entries]), flush=True)
