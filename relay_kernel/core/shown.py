"""What a cell has shown, so that running it again does not show it twice."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

#: A widget of a lost kernel is dead; the one that takes its place must be shown.
_WIDGET = "application/vnd.jupyter.widget-view+json"
#: What is only ever about the present run.
_ALWAYS = frozenset({"comm_open", "comm_msg", "comm_close", "debug_event"})


@dataclass
class Shown:
    """The outputs of one cell over all its runs.

    Text of a stream is compared: as long as a new run prints what is shown already, it is dropped;
    from where it differs, it is shown. Other outputs are counted by type, since a second run seldom
    makes the same bytes.
    """

    text: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    _printed: dict[str, str] = field(default_factory=dict)
    _seen: dict[str, int] = field(default_factory=dict)

    def again(self) -> None:
        """The cell starts once more."""
        self._printed.clear()
        self._seen.clear()

    def new(self, msg_type: str, content: dict[str, Any]) -> dict[str, Any] | None:
        """The part of an output that is not shown yet; None: all of it is."""
        if msg_type in _ALWAYS or _WIDGET in content.get("data", ()):
            return content
        if msg_type == "stream":
            return self._new_text(content)
        key = msg_type
        if msg_type == "status":
            key = f"status:{content.get('execution_state')}"
        self._seen[key] = self._seen.get(key, 0) + 1
        if self._seen[key] <= self.counts.get(key, 0):
            return None
        self.counts[key] = self._seen[key]
        return content

    def _new_text(self, content: dict[str, Any]) -> dict[str, Any] | None:
        name, text = str(content.get("name")), str(content.get("text", ""))
        before, shown = self._printed.get(name, ""), self.text.get(name, "")
        run = self._printed[name] = before + text
        if shown.startswith(run):
            return None
        start = max(len(before), _common(shown, run))
        self.text[name] = run
        return {**content, "text": run[start:]}


def _common(left: str, right: str) -> int:
    """The length of the common beginning."""
    if right.startswith(left):
        return len(left)
    return next(i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b)
