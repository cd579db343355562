"""ipykernel's own tests, against ipykernel and against R: what passes there passes here."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import xml.etree.ElementTree as ET
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.suites.retarget import plain, relayed
from tests.suites.sdist import fetch

#: Those that look at a kernel from outside. The others import ipykernel and test its parts.
FILES = ("test_message_spec", "test_kernel", "test_async")

INI = """\
[pytest]
asyncio_mode = auto
timeout = 60
"""

#: What passes on ipykernel and not on R, with the reason.
EXCEPTIONS = {
    "test_kernel::test_parent_header_and_ident": (
        "reads kernel._parent_ident, a private attribute: the way back to the front end, which has"
        " one stage more where a message came through R"
    ),
}

#: The same on the PC, in addition.
ON_PC = {
    "test_kernel::test_print_to_correct_cell_from_thread[global]": (
        "wants no output in cells beside a thread; the first of them tells that the thread stays"
        " on the PC"
    ),
    "test_message_spec::test_non_execute_stop_on_error": (
        "wants the reply to an inspect_request behind that of the cell before it; while a cell runs"
        " on the PC, the server's kernel answers such a question at once"
    ),
}


class Suite:
    """A copy of ipykernel's tests, with a Jupyter of its own.

    Args:
        folder: its own; tests write beside themselves.
        source: ipykernel's.
        environment: with what ``python3`` is.
        on_pc: whether each kernel must be on the PC before a test uses it.
    """

    def __init__(
        self, folder: Path, source: Path, environment: dict[str, str], *, on_pc: bool = False
    ) -> None:
        self._folder = folder / "run"
        self._options = ["-p", "on_pc"] if on_pc else []
        self._environment = {
            name: value for name, value in environment.items() if not name.startswith("PYTEST_")
        }
        plugins = Path(__file__).parent / "plugins"
        self._environment["PYTHONPATH"] = str(plugins)
        shutil.copytree(source / "tests", self._folder / "tests")
        (self._folder / "own.ini").write_text(INI)

    async def run(self) -> dict[str, str]:
        """Run the tests; what became of each."""
        report = self._folder / "report.xml"
        command = [sys.executable, "-m", "pytest", "-c", "own.ini", "--rootdir", ".", "-q"]
        command += ["-p", "no:cacheprovider", f"--junitxml={report}", *self._options]
        process = await asyncio.create_subprocess_exec(
            *command,
            *(f"tests/{name}.py" for name in FILES),
            cwd=self._folder,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        assert process.returncode in {0, 1}, said.decode()
        print(said.decode())
        return _outcomes(report)


def _outcomes(report: Path) -> dict[str, str]:
    found = {}
    for case in ET.parse(report).iter("testcase"):
        name = f"{case.get('classname', '').removeprefix('tests.')}::{case.get('name')}"
        kinds = [child.tag for child in case if child.tag in {"failure", "error", "skipped"}]
        found[name] = kinds[0] if kinds else "passed"
    return found


async def _check(tmp_path: Path, source: Path, *, on_pc: bool, exceptions: dict[str, str]) -> None:
    with ExitStack() as stack:
        one = Suite(tmp_path / "a", source, stack.enter_context(plain(tmp_path / "a")))
        relay = stack.enter_context(relayed(tmp_path / "b", on_pc=on_pc))
        two = Suite(tmp_path / "b", source, relay, on_pc=on_pc)
        # They wait most of the time, so both at once take little longer than one.
        there, here = await asyncio.gather(one.run(), two.run())
    passed = {name for name, outcome in there.items() if outcome == "passed"}
    assert len(passed) > 50, there
    wrong = {name for name in passed if here.get(name, "missing") != "passed"}
    assert wrong == exceptions.keys()


@pytest.mark.timeout(300)
async def test_what_passes_on_ipykernel_passes_on_r(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    source = fetch(pytestconfig.cache.mkdir("sdist"))
    await _check(tmp_path, source, on_pc=False, exceptions=EXCEPTIONS)


@pytest.mark.sshd
@pytest.mark.skipif("RELAY_SLOW" not in os.environ, reason="a slow proof: set RELAY_SLOW=1")
@pytest.mark.timeout(300)
async def test_what_passes_on_ipykernel_passes_on_the_pc(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    source = fetch(pytestconfig.cache.mkdir("sdist"))
    await _check(tmp_path, source, on_pc=True, exceptions=EXCEPTIONS | ON_PC)
