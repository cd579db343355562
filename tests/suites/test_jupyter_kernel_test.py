"""jupyter_kernel_test, with every sample that it offers, against R on the server and on the PC."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import ClassVar

import jupyter_kernel_test
import pytest

from tests.suites.plugins.on_pc import reach_pc, target_of
from tests.suites.retarget import relayed

_PNG = """\
import base64
from IPython.display import Image, display
display(Image(data=base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
), format="png"))
"""


class Samples(jupyter_kernel_test.KernelTests):
    """What the suite is told of the kernel's language."""

    __test__ = False
    kernel_name = "python3"
    language_name = "python"
    file_extension = ".py"
    code_hello_world = "print('hello, world')"
    code_stderr = "import sys; print('trouble', file=sys.stderr)"
    code_page_something = "len?"
    code_generate_error = "raise ValueError('wanted')"
    code_inspect_sample = "open"
    code_clear_output = "from IPython.display import clear_output; clear_output(wait=True)"
    completion_samples: ClassVar = [
        {"text": "zi", "matches": {"zip"}},
        {"text": "import itert", "matches": {"itertools"}},
        {"text": "str.isid", "matches": {"isidentifier"}},
    ]
    complete_code_samples: ClassVar = [
        "1",
        "for each in []: pass\n",
        "def double(x):\n    return x * 2\n\n",
        "%relay",
        "async def wait():\n    await later\n\n",
    ]
    incomplete_code_samples: ClassVar = [
        "print(",
        "def double(x):",
        "'''a text",
        "[1, 2,",
        "%%relay pc\n",
    ]
    invalid_code_samples: ClassVar = ["import = 7q", "1 +* 2", "x = ]"]
    code_execute_result: ClassVar = [
        {"code": "6 * 7", "result": "42"},
        {"code": "'rela' + 'y'", "result": "'relay'"},
        {"code": "{'a': [1, None]}", "result": "{'a': [1, None]}"},
        {
            "code": "from IPython.display import Markdown; Markdown('*so*')",
            "mime": "text/markdown",
            "result": "*so*",
        },
    ]
    code_display_data: ClassVar = [
        {"code": "from IPython.display import HTML, display; display(HTML('<b>x</b>'))"}
        | {"mime": "text/html"},
        {"code": "from IPython.display import SVG, display; display(SVG('<svg/>'))"}
        | {"mime": "image/svg+xml"},
        {"code": "from IPython.display import Math, display; display(Math('x^2'))"}
        | {"mime": "text/latex"},
        {"code": "from IPython.display import JSON, display; display(JSON({'a': 1}))"}
        | {"mime": "application/json"},
        {"code": _PNG, "mime": "image/png"},
    ]
    code_history_pattern = "6 * *"
    #: not "range": the suite asks for a session by the number that ipykernel gives the running one
    #: in the answer to "tail", and ipykernel finds it by 0 only
    supported_history_operations = ("tail", "search")


class Relayed:
    """The kernel under test is R, which runs the cells on the server or on a PC."""

    on_pc: ClassVar[bool]

    @classmethod
    def setUpClass(cls) -> None:
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="suite-")))
            environment = stack.enter_context(relayed(folder, on_pc=cls.on_pc))
            patch = stack.enter_context(pytest.MonkeyPatch.context())
            for name, value in environment.items():
                patch.setenv(name, value)
            super().setUpClass()
            stack.callback(super().tearDownClass)
            if cls.on_pc:
                reach_pc(cls.kc)
            cls.rest = stack.pop_all()

    @classmethod
    def tearDownClass(cls) -> None:
        cls.rest.close()


class TestOnTheServer(Relayed, Samples):
    __test__ = True
    on_pc = False


@pytest.mark.sshd
class TestOnThePc(Relayed, Samples):
    __test__ = True
    on_pc = True

    @classmethod
    def tearDownClass(cls) -> None:
        with cls.rest:
            assert target_of(cls.kc) == "pc", "the suite was about the PC"


class TestWelcome(Relayed, jupyter_kernel_test.IopubWelcomeTests):
    on_pc = False
    support_iopub_welcome = True
