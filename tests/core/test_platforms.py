"""Which packages are there for the server's platform alone."""

from __future__ import annotations

from relay_kernel.core.platforms import for_this_platform_only

LINUX = {
    **{"os_name": "posix", "sys_platform": "linux", "platform_system": "Linux"},
    **{"platform_machine": "x86_64", "python_version": "3.11", "implementation_name": "cpython"},
    "platform_python_implementation": "CPython",
}
MAC = {**LINUX, "sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64"}

REQUIRES = {
    "app": ["jeepney>=0.9; sys_platform == 'linux'", "six", "plot[fast]"],
    "jeepney": ["helper"],
    "helper": [],
    "six": [],
    "plot": ["quick; extra == 'fast' and sys_platform == 'linux'", "slow; extra == 'slow'"],
    "quick": [],
    "slow": [],
}


def test_what_only_this_platform_needs_is_left_out_with_what_it_needs() -> None:
    assert for_this_platform_only(REQUIRES, [], LINUX, MAC) == {"jeepney", "helper", "quick"}


def test_what_a_person_asked_for_is_needed() -> None:
    assert "jeepney" not in for_this_platform_only(REQUIRES, ["jeepney"], LINUX, MAC)


def test_nothing_is_left_out_on_the_same_platform() -> None:
    assert for_this_platform_only(REQUIRES, [], LINUX, LINUX) == frozenset()


def test_packages_that_need_each_other_are_kept() -> None:
    circle = {"a": ["b"], "b": ["a"]}
    assert for_this_platform_only(circle, [], LINUX, MAC) == frozenset()


def test_a_requirement_that_cannot_be_read_decides_nothing() -> None:
    assert for_this_platform_only({"a": ["=="], "b": []}, [], LINUX, MAC) == frozenset()
