"""A snapshot of values beside a dump of the kernel's memory by CRIU: bytes, seconds, what it needs.

    python -m tests.bench.memory_dump [--criu PROGRAM]

Needs root and CRIU 4 or newer. The numbers are in ``docs/decisions/0011``.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.inkernel.rig import Kernel

#: What the kernel holds when it is dumped, one after another.
STEPS = {
    "nothing yet": "pass",
    "x = 1": "x = 1",
    "import numpy, pandas": "import numpy, pandas",
    "an array of 100 MB": "a = numpy.random.default_rng(1).random(12_500_000)",
    "one element of it changed": "a[7] = 7",
    "the array deleted": "del a",
}


def dump(criu: str, pid: int, images: Path) -> tuple[float, int, str]:
    """Dump a process that goes on running: seconds, bytes, and what was said if it failed."""
    images.mkdir()
    order = [criu, "dump", "--tree", str(pid), "--images-dir", str(images), "--leave-running"]
    order += ["--shell-job", "--tcp-established", "--ext-unix-sk", "--link-remap", "--file-locks"]
    order += ["--network-lock", "skip"]
    began = time.perf_counter()
    done = subprocess.run(order, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    size = sum(path.stat().st_size for path in images.iterdir())
    shutil.rmtree(images)
    return seconds, size, first_error(done.stderr) if done.returncode else ""


def first_error(said: str) -> str:
    """What CRIU named as the cause: the errors after it are its consequences."""
    errors = [line for line in said.splitlines() if "Error" in line and "rlimit" not in line]
    return errors[0] if errors else "it did not say why"


def on_disk(store: Path) -> int:
    """Bytes of the chunks in a store."""
    return sum(path.stat().st_size for path in store.rglob("*") if path.is_file())


def measure(criu: str, folder: Path) -> None:
    """Print one row a step."""
    store = folder / "store"
    kernel = Kernel(store, "pc", folder)
    try:
        pid = kernel.manager.provisioner.pid
        print(f"{'after the cell':<28}{'snapshot':>22}{'memory dump':>24}")
        for what, code in STEPS.items():
            kernel.check(code)
            before = on_disk(store)
            manifest = kernel.try_capture()
            ours = on_disk(store) - before + len(manifest["buffers"][0])
            theirs, size, complaint = dump(criu, pid, folder / "images")
            if complaint:
                sys.exit(f"CRIU could not dump the kernel: {complaint}")
            print(
                f"{what:<28}{ours / 1e6:>10.3f} MB {manifest['seconds'] * 1e3:>5.0f} ms"
                f"{size / 1e6:>12.1f} MB {theirs * 1e3:>5.0f} ms"
            )
    finally:
        kernel.stop()


def main() -> None:
    """Measure in a folder of its own."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--criu", default="criu", help="the program")
    criu = options.parse_args().criu
    if shutil.which(criu) is None:
        sys.exit(f"there is no {criu}: install CRIU 4 or newer, or name it with --criu PROGRAM")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        measure(criu, Path(folder))


if __name__ == "__main__":
    main()
