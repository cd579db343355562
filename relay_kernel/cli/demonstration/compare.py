"""Compares two runs of the notebook: what each kernel holds, and what a reader sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relay_kernel.cli.demonstration.player import Played

_HISTORY = ("In", "Out", "_")
_NOTHING = ["", "nothing", "nothing"]


@dataclass
class Run:
    """One run of the whole notebook in one kernel."""

    cells: list[Played]
    found: dict[str, list[str]]
    """What the kernel holds in the end: name -> fingerprint, type, beginning of its repr."""

    @property
    def variables(self) -> list[str]:
        """The names of the user's variables."""
        return [name for name in self.found if name.isidentifier() and name not in _HISTORY]


def differences(one: Run, other: Run) -> list[str]:
    """What differs between two runs, a line each; empty if they are equal."""
    return [*_state(one.found, other.found), *_outputs(one.cells, other.cells)]


def _state(one: dict[str, list[str]], other: dict[str, list[str]]) -> list[str]:
    lines = []
    for name in sorted(one.keys() | other.keys()):
        left, right = one.get(name, _NOTHING), other.get(name, _NOTHING)
        if left[:2] != right[:2]:
            lines.append(f"{name}: {_shown(left)} with relay, {_shown(right)} without")
    return lines


def _outputs(one: list[Played], other: list[Played]) -> list[str]:
    lines = []
    for number, (left, right) in enumerate(zip(one, other, strict=True), 1):
        if left.visible != right.visible:
            lines.append(
                f"what cell {number} shows: {left.visible} with relay, {right.visible} without"
            )
    return lines


def _shown(thing: list[str]) -> str:
    digest, kind, text = thing
    return f"{kind} {text!r} ({digest[:8]})" if digest else kind
