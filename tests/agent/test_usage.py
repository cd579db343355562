"""How busy a machine is, also where its GPU does not tell, or hangs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay_kernel.agent import usage
from relay_kernel.agent.usage import gpus, measure

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SAID = """\
NVIDIA GeForce RTX 4090, 37, 1024, 24564
NVIDIA GH200, 480GB, [N/A], 512, 97871
NVIDIA A100-SXM4-40GB MIG 1g.5gb, [N/A], [N/A], [N/A]
No devices were found
"""


def test_each_gpu_that_tells_its_memory() -> None:
    first, second = gpus(SAID)
    assert first == {
        "name": "NVIDIA GeForce RTX 4090",
        "load": 0.37,
        "memory_used": 1024 << 20,
        "memory_total": 24564 << 20,
    }
    assert (second["name"], second["load"]) == ("NVIDIA GH200, 480GB", None)


async def test_this_machine() -> None:
    said = await measure()
    assert 0 <= said["cpu"] <= 1
    assert said["cores"] >= 1
    assert 0 < said["memory_used"] < said["memory_total"]


async def test_a_program_that_hangs_costs_the_gpus_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nexec /bin/sleep 600\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(usage, "PATIENCE", 0.5)
    monkeypatch.setattr(usage, "_hung", usage._Hung())
    said = await measure()
    assert said["gpus"] == []
    assert usage._hung.until > 0
    assert said["memory_total"] > 0
