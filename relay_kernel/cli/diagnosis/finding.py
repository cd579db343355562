"""What one check found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Outcome(Enum):
    """How a check ended, from good to bad."""

    OK = "ok"
    SKIPPED = "skipped"
    """It does not apply, or something before it failed."""
    WARNING = "warning"
    """It works, and could be better."""
    FAULT = "fault"
    """It does not work until somebody mends it."""


@dataclass(frozen=True)
class Finding:
    """One check and its outcome."""

    name: str
    outcome: Outcome
    found: str
    """One line."""
    mend: str = ""
    """One line: a command, or what to change. Never empty for a warning or a fault."""


def ok(name: str, found: str) -> Finding:
    """It is well."""
    return Finding(name, Outcome.OK, found)


def skipped(name: str, why: str) -> Finding:
    """It was not looked at."""
    return Finding(name, Outcome.SKIPPED, why)


def warning(name: str, found: str, mend: str) -> Finding:
    """It works, and could be better."""
    return Finding(name, Outcome.WARNING, found, mend)


def fault(name: str, found: str, mend: str) -> Finding:
    """It does not work."""
    return Finding(name, Outcome.FAULT, found, mend)
