"""What a cell has shown, so that running it again does not show it twice."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

#: A widget of a lost kernel is dead; the one that takes its place must be shown.
_WIDGET = "application/vnd.jupyter.widget-view+json"
#: What is only ever about the present run.
_ALWAYS = frozenset({"comm_open", "comm_msg", "comm_close", "debug_event"})


@dataclass
class _Text:
    """One stream. What the present run printed equals the first ``at`` characters shown."""

    shown: list[str] = field(default_factory=list)
    length: int = 0
    at: int = 0

    def new(self, text: str) -> str:
        """The part of ``text`` that is not shown yet; from the first difference on, all is new."""
        kept = 0
        if self.at < self.length:
            joined = "".join(self.shown)
            rest = joined[self.at : self.at + len(text)]
            kept = len(text) if rest == text else _common(rest, text)
            self.shown = [joined]
            self.at += kept
            if kept == len(text):
                return ""
            self.shown = [joined[: self.at]]
        self.shown.append(text[kept:])
        self.length = self.at = self.at + len(text) - kept
        return text[kept:]


@dataclass
class Shown:
    """The outputs of one cell over all its runs.

    Text of a stream is compared: as long as a new run prints what is shown already, it is dropped;
    from where it differs, it is shown. Other outputs are counted by type, since a second run seldom
    makes the same bytes.

    Args:
        renamed: by display id of an output that was dropped, the id under which it is shown; shared
            by the cells of a notebook, since any cell may update it later.
    """

    renamed: dict[str, str] = field(default_factory=dict)
    _text: dict[str, _Text] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)
    _seen: dict[str, int] = field(default_factory=dict)
    _displays: list[str | None] = field(default_factory=list)

    def again(self) -> None:
        """The cell starts once more."""
        self._seen.clear()
        for text in self._text.values():
            text.at = 0

    def new(self, msg_type: str, content: dict[str, Any]) -> dict[str, Any] | None:
        """The part of an output that is not shown yet; None: all of it is."""
        if msg_type in _ALWAYS or _WIDGET in content.get("data", ()):
            return content
        if msg_type == "stream":
            return self._new_text(content)
        key = msg_type
        if msg_type == "status":
            key = f"status:{content.get('execution_state')}"
        number = self._seen[key] = self._seen.get(key, 0) + 1
        if msg_type == "display_data":
            self._name(number, content.get("transient", {}).get("display_id"))
        if number <= self._counts.get(key, 0):
            return None
        self._counts[key] = number
        return content

    def _new_text(self, content: dict[str, Any]) -> dict[str, Any] | None:
        text = str(content.get("text", ""))
        new = self._text.setdefault(str(content.get("name")), _Text()).new(text)
        if new == text:
            return content
        return {**content, "text": new} if new else None

    def _name(self, number: int, display_id: str | None) -> None:
        if number > len(self._displays):
            self._displays.append(display_id)
            return
        shown = self._displays[number - 1]
        if shown and display_id and shown != display_id:
            self.renamed[display_id] = shown


def _common(left: str, right: str) -> int:
    """The length of the common beginning."""
    differ = (i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b)
    return next(differ, min(len(left), len(right)))


def under_shown_name(content: dict[str, Any], renamed: dict[str, str]) -> dict[str, Any]:
    """An ``update_display_data`` as the front end, which knows another display id, needs it."""
    transient = content.get("transient", {})
    shown = renamed.get(str(transient.get("display_id")))
    return {**content, "transient": {**transient, "display_id": shown}} if shown else content
