"""How an environment differs from the one that it mirrors, and what mends that."""

from __future__ import annotations

import pytest

from relay_kernel.core.blueprint import (
    Blueprint,
    Kind,
    Origin,
    Package,
    Step,
    drift,
    from_json,
    step,
    to_json,
)

SIX = Package("six", "1.17.0")
MINE = Package("mine", "1.0", Origin.WHEEL, "aaaa")
DEMO = Package("demo", "1.0", Origin.EDITABLE, "bbbb", "s1")


def env(*packages: Package, python: str = "3.11") -> Blueprint:
    return Blueprint(python, packages)


CASES = {
    "equal": (env(SIX), env(SIX), ["six"], [], Step.NOTHING),
    "nothing there": (env(SIX), None, [], [Kind.MISSING], Step.BUILD),
    "another Python": (env(SIX), env(SIX, python="3.12"), [], [Kind.PYTHON], Step.BUILD),
    "a new package": (env(SIX), env(), [], [Kind.MISSING], Step.ADD),
    "another version": (
        *(env(SIX), env(Package("six", "1.16.0")), ["six"]),
        *([Kind.VERSION], Step.BUILD),
    ),
    "removed here": (env(), env(SIX), ["six"], [Kind.STALE], Step.BUILD),
    "only there": (env(), env(SIX), [], [Kind.OVERLAY], Step.NOTHING),
    "only there, and one is missing": (
        *(env(SIX), env(Package("theirs", "1")), []),
        *([Kind.MISSING, Kind.OVERLAY], Step.ADD),
    ),
    "other content": (
        *(env(MINE), env(Package("mine", "1.0", content="cccc")), ["mine"]),
        *([Kind.CONTENT], Step.BUILD),
    ),
    "other sources": (
        *(env(DEMO), env(Package("demo", "1.0", content="bbbb", sources="s0")), ["demo"]),
        *([Kind.SOURCES], Step.REFRESH),
    ),
    "other sources, and a new package": (
        *(env(DEMO, SIX), env(Package("demo", "1.0", content="bbbb", sources="s0")), ["demo"]),
        *([Kind.SOURCES, Kind.MISSING], Step.ADD),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_difference_is_named_and_mended(case: str) -> None:
    wanted, found, mirrored, kinds, todo = CASES[case]
    differences = drift(wanted, found, mirrored)
    assert [each.kind for each in differences] == kinds
    assert step(differences) is todo


def test_a_difference_is_said_in_words() -> None:
    (one,) = drift(env(SIX), env(Package("six", "1.16.0")), ["six"])
    assert one.text == "six is 1.16.0, and 1.17.0 on the server"
    (none,) = drift(env(SIX), None, [])
    assert none.text == "there is no environment yet"


class TestBuildsToChooseFrom:
    def test_the_label_of_a_build_is_for_the_target_to_choose(self) -> None:
        here, there = env(Package("torch", "2.9.0+cpu")), env(Package("torch", "2.9.0+cu128"))
        assert drift(here, there, ["torch"]) == []
        assert here.packages[0].requirement == "torch==2.9.0"

    def test_the_label_of_another_package_is_not(self) -> None:
        here, there = env(Package("flash-attn", "2.0+cu12")), env(Package("flash-attn", "2.0"))
        assert [each.kind for each in drift(here, there, ["flash-attn"])] == [Kind.VERSION]

    def test_what_a_build_brings_along_is_neither_missing_nor_the_targets_own(self) -> None:
        torch = Package("torch", "2.9.0")
        here = env(torch, Package("nvidia-cublas-cu12", "12.8"), Package("triton", "3.5"))
        assert drift(here.for_target(), env(torch), ["torch"]) == []
        assert drift(env(torch), here, ["torch"]) == []

    def test_without_such_a_build_it_is_a_package_like_any_other(self) -> None:
        cublas = Package("nvidia-cublas-cu12", "12.8")
        assert env(cublas).for_target() == env(cublas)
        assert [each.kind for each in drift(env(), env(cublas), [])] == [Kind.OVERLAY]

    def test_a_tool_for_drivers_is_none_of_it(self) -> None:
        here = env(Package("torch", "2.9.0"), Package("nvidia-ml-py", "13.0"))
        assert here.for_target() == here


class TestDigest:
    def test_it_does_not_depend_on_the_order(self) -> None:
        assert env(SIX, MINE).digest == env(MINE, SIX).digest

    def test_changed_sources_need_no_new_environment(self) -> None:
        other = Package("demo", "1.0", Origin.EDITABLE, "bbbb", "s2")
        assert env(DEMO).digest == env(other).digest

    @pytest.mark.parametrize(
        "other",
        [env(SIX, python="3.12"), env(), env(Package("six", "1.16.0")), env(SIX, MINE)],
    )
    def test_everything_else_does(self, other: Blueprint) -> None:
        assert env(SIX).digest != other.digest


def test_it_survives_the_line() -> None:
    blueprint = env(SIX, MINE, DEMO)
    again = from_json(to_json(blueprint))
    assert to_json(again) == to_json(blueprint)
    assert again.by_name["demo"].sources == "s1"


@pytest.mark.parametrize(
    "value", [{}, {"python": 3, "packages": []}, {"python": "3", "packages": [1]}]
)
def test_something_else_is_refused(value: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"blueprint|package"):
        from_json(value)
