"""What is written of an original."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from relay_kernel.mirror.generated import mirror_names, mirror_of, read_mark
from relay_kernel.mirror.originals import Original, is_relay, reason_against

if TYPE_CHECKING:
    from pathlib import Path

PYTHON = "/opt/jupyter/bin/python"
SPEC = {
    "argv": ["python", "-m", "ipykernel_launcher", "-f", "{connection_file}", "--pylab=inline"],
    "display_name": "Science",
    "language": "python",
    "interrupt_mode": "signal",
    "env": {},
    "metadata": {"debugger": True},
    "kernel_protocol_version": "5.5",
}


def original(folder: Path, **changes: Any) -> Original:
    return Original("science", folder, {**SPEC, **changes}, on_disk=True)


def test_a_mirror_starts_r_for_its_original(tmp_path: Path) -> None:
    spec = mirror_of(original(tmp_path), "relay-science", PYTHON).spec
    command = [PYTHON, "-m", "relay_kernel", "-f", "{connection_file}", "--spec", "science"]
    assert spec["argv"] == command
    assert spec["display_name"] == "Science (relay)"
    assert spec["language"] == "python"
    assert spec["interrupt_mode"] == "message"
    assert spec["kernel_protocol_version"] == "5.5"
    assert spec["metadata"]["debugger"] is True
    assert spec["metadata"]["supported_encryption"] == ["curve"]
    assert is_relay(spec)


def test_what_a_mirror_says_of_itself_can_be_read(tmp_path: Path) -> None:
    mirror = mirror_of(original(tmp_path), "relay-science", PYTHON)
    assert mirror.mark.original == "science"
    assert mirror.mark.interpreter == PYTHON
    assert mirror.mark.folder == str(tmp_path)
    assert read_mark(SPEC) is None
    assert read_mark({**SPEC, "metadata": {"relay_kernel": "mine"}}) is None


def test_constants_of_the_environment_reach_r_and_nothing_that_would_disturb_it(
    tmp_path: Path,
) -> None:
    env = {
        "WORD": "one",
        "TWICE": "$TWICE:x",
        "BRACED": "${HOME}/x",
        "PYTHONPATH": "/lib",
        "LD_PRELOAD": "x.so",
        "PATH": "/bin",
    }
    assert mirror_of(original(tmp_path, env=env), "relay-science", PYTHON).spec["env"] == {
        "WORD": "one"
    }


def test_logos_and_every_part_of_the_original_count(tmp_path: Path) -> None:
    (tmp_path / "logo-64x64.png").write_bytes(b"a logo")
    (tmp_path / "notes.txt").write_text("mine")
    mirror = mirror_of(original(tmp_path), "relay-science", PYTHON)
    assert mirror.logos == {"logo-64x64.png": b"a logo"}
    digests = {mirror.mark.digest}
    (tmp_path / "logo-64x64.png").write_bytes(b"another")
    for changes in ({}, {"display_name": "S"}, {"env": {"A": "1"}}, {"metadata": {}}):
        made = mirror_of(original(tmp_path, **changes), "relay-science", PYTHON)
        digests.add(made.mark.digest)
    assert len(digests) == 5


def test_names_are_plain_and_stable() -> None:
    names = mirror_names(["python3", "conda-env-Foo Bar-py", "Ä", "a.b_c-1"])
    assert names["python3"] == "relay-python3"
    assert names["a.b_c-1"] == "relay-a.b_c-1"
    assert names["conda-env-Foo Bar-py"] == "relay-conda-env-foo_bar-py"
    assert names["Ä"] == "relay-_"


def test_a_name_that_is_plain_keeps_its_own_whatever_else_there_is() -> None:
    names = mirror_names(["FOO", "foo", "Foo"])
    assert names["foo"] == "relay-foo"
    assert len(set(names.values())) == 3
    assert mirror_names(["foo", "Foo"])["Foo"] == names["Foo"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, ""),
        ({"argv": ["python3", "-m", "ipykernel", "-f", "{connection_file}"]}, ""),
        ({"argv": ["python", "-Xfrozen_modules=off", *SPEC["argv"][1:]]}, ""),
        ({"argv": ["sh", "-c", "exec x"]}, "there is no ipykernel behind it"),
        ({"argv": ["xpython", "-f", "{connection_file}"]}, "there is no ipykernel behind it"),
        ({"argv": []}, "there is no ipykernel behind it"),
        ({"language": "R"}, "it is a kernel for R"),
        (
            {"argv": ["/gone/bin/python", *SPEC["argv"][1:]]},
            "its interpreter /gone/bin/python is gone",
        ),
        (
            {"argv": ["python", "-m", "runner", "/gone/env/bin/python3.9", *SPEC["argv"][1:]]},
            "its interpreter /gone/env/bin/python3.9 is gone",
        ),
        (
            {"metadata": {"kernel_provisioner": {"provisioner_name": "slurm"}}},
            "slurm starts it, and not its command line",
        ),
        ({"metadata": {"kernel_provisioner": {"provisioner_name": "local-provisioner"}}}, ""),
    ],
)
def test_only_what_can_work_is_mirrored(changes: dict[str, Any], why: str) -> None:
    assert reason_against({**SPEC, **changes}) == why


def test_kernels_that_are_relay_kernels_are_known() -> None:
    assert not is_relay(SPEC)
    assert is_relay({**SPEC, "argv": ["python", "-m", "relay_kernel", "--spec=science"]})
    assert is_relay({**SPEC, "metadata": {"relay_kernel": {}}})
