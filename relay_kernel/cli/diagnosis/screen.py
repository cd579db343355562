"""Shows findings to a person, and gives them to programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from relay_kernel.cli.diagnosis.finding import Finding, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

_STYLES = {
    Outcome.OK: "green",
    Outcome.SKIPPED: "dim",
    Outcome.WARNING: "yellow",
    Outcome.FAULT: "bold red",
}


def as_text(findings: Sequence[Finding]) -> Text:
    """A line for each finding, and below it how it is mended, to be copied as it stands."""
    text = Text()
    width = max((len(each.name) for each in findings), default=0)
    for each in findings:
        text.append(f"  {each.outcome.value:<9}", style=_STYLES[each.outcome])
        text.append(f"{each.name:<{width}}  ")
        text.append(f"{each.found}\n", style="dim" if each.outcome is Outcome.SKIPPED else "")
        if each.mend:
            text.append(f"           -> {each.mend}\n", style="bold")
    return text


def as_json(report: dict[str, list[Finding]]) -> dict[str, Any]:
    """All findings: ``{"outcome", "checks": [{"where", "name", "outcome", "found", "mend"}]}``."""
    checks = [
        {
            "where": where,
            "name": each.name,
            "outcome": each.outcome.value,
            "found": each.found,
            "mend": each.mend,
        }
        for where, findings in report.items()
        for each in findings
    ]
    return {"outcome": worst(report).value, "checks": checks}


def summary(report: dict[str, list[Finding]]) -> str:
    """``2 faults, 1 warning``; or that all is well."""
    outcomes = [each.outcome for findings in report.values() for each in findings]
    words = []
    for outcome in (Outcome.FAULT, Outcome.WARNING):
        count = outcomes.count(outcome)
        if count:
            words.append(f"{count} {outcome.value}{'' if count == 1 else 's'}")
    return ", ".join(words) or "all is well"


def worst(report: dict[str, list[Finding]]) -> Outcome:
    """A fault, else a warning, else ok."""
    outcomes = {each.outcome for findings in report.values() for each in findings}
    for outcome in (Outcome.FAULT, Outcome.WARNING):
        if outcome in outcomes:
            return outcome
    return Outcome.OK
