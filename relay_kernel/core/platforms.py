"""Which packages of an environment are there for the server's platform alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from packaging.markers import UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

#: What of a machine decides; two that agree in these need the same packages.
DECISIVE = (
    *("os_name", "platform_machine", "platform_system", "sys_platform"),
    *("platform_python_implementation", "python_version", "implementation_name"),
)

_EXTRA = re.compile(r"extra\s*==\s*['\"]([^'\"]+)['\"]")


def for_this_platform_only(
    requires: Mapping[str, Collection[str]],
    requested: Collection[str],
    here: Mapping[str, str],
    there: Mapping[str, str],
) -> frozenset[str]:
    """The packages that others need here, and nobody needs there.

    Args:
        requires: name of each installed package -> its requirements, with their markers.
        requested: those that a person has asked for by name; they are always needed.
        here: the markers of the server's Python.
        there: those of the target's.
    """
    if all(here.get(key) == there.get(key) for key in DECISIVE):
        return frozenset()
    edges = {name: list(_parsed(texts)) for name, texts in requires.items()}
    wanted = {canonicalize_name(r.name) for each in edges.values() for r in each}
    roots = (requires.keys() - wanted) | (requires.keys() & set(requested))
    return frozenset(_reached(roots, edges, here) - _reached(roots, edges, there))


def _parsed(texts: Iterable[str]) -> Iterable[Requirement]:
    for text in texts:
        try:
            yield Requirement(text)
        except InvalidRequirement:
            continue


def _reached(
    roots: Iterable[str], edges: Mapping[str, Iterable[Requirement]], markers: Mapping[str, str]
) -> set[str]:
    """All that is needed where ``markers`` hold."""
    found: set[str] = set()
    waiting = sorted(roots)
    while waiting:
        name = waiting.pop()
        if name in found or name not in edges:
            continue
        found.add(name)
        waiting += [canonicalize_name(each.name) for each in edges[name] if _holds(each, markers)]
    return found


def _holds(requirement: Requirement, markers: Mapping[str, str]) -> bool:
    """Whether it is needed, for any extra: which ones were asked for is not known."""
    if requirement.marker is None:
        return True
    extras = ["", *_EXTRA.findall(str(requirement.marker))]
    try:
        return any(requirement.marker.evaluate({**markers, "extra": extra}) for extra in extras)
    except UndefinedEnvironmentName:
        return True
