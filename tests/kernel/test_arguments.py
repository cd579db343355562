"""R's command line: what is R's own, and what is for the user's kernels."""

from __future__ import annotations

import pytest

from relay_kernel.kernel.arguments import divide

OWN = ["-f", "/run/kernel-1.json", "--spec=python3", "--ip", "127.0.0.1", "--Session.key=abc"]
OTHERS = ["--HistoryManager.hist_file=:memory:", "--profile", "lab", "--matplotlib=inline", "--pdb"]


def test_each_part_keeps_its_order() -> None:
    assert divide(OWN + OTHERS) == (OWN, OTHERS)
    assert divide(OTHERS + OWN) == (OWN, OTHERS)
    mixed = [*OWN[:2], *OTHERS[:3], *OWN[2:], *OTHERS[3:]]
    assert divide(mixed) == (OWN, OTHERS)


@pytest.mark.parametrize(
    ("argv", "own"),
    [
        (["--IPKernelApp.connection_file=x"], True),
        (["--IPKernelApp.matplotlib=inline"], False),
        (["--RelayKernel.spec", "other"], True),
        (["--no-secure"], True),
        (["--colors", "nocolor"], False),
        (["a-file.py"], False),
        (["-"], False),
    ],
)
def test_whose_it_is(argv: list[str], own: bool) -> None:
    assert divide(argv) == ((argv, []) if own else ([], argv))


def test_a_flag_takes_no_value() -> None:
    assert divide(["--no-secure", "script.py"]) == (["--no-secure"], ["script.py"])
