"""What ``%relay`` says: where cells run, what is safe, and what to do next."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from relay_kernel.core import events as ev
from relay_kernel.core.model import LOCAL
from relay_kernel.kernel.magics import HELP, Answer, answer
from relay_kernel.wire.message import Message
from tests.kernel.rig import PC, Notebook, notebook

if TYPE_CHECKING:
    from relay_kernel.settings.paths import Places


@pytest.fixture
async def book(places: Places) -> Notebook:
    return notebook(places)


def captured(
    book: Notebook, cell: int, names: list[str], behind: dict[str, dict[str, str]]
) -> None:
    """The state after a cell comes to the server."""
    manifest = json.dumps({"names": names, "left_behind": behind}).encode()
    head = {"cell": cell, "epoch": 1, "chunks": []}
    book.state.captured(LOCAL, Message("captured", head, (manifest,)))


def row(book: Notebook, name: str) -> str:
    """The line about a target."""
    (found,) = [line for line in answer((), book).text.splitlines() if line.startswith(name)]
    return found


class TestStatus:
    def test_the_environment_at_the_pc(self, book: Notebook, places: Places) -> None:
        assert "environment" not in answer((), book).text
        state = {"phase": "building", "drift": ["six is missing"], "why": ""}
        places.envs_status.write_text(json.dumps({"envs": {"python3": {PC: state}}}))
        line = "environment of python3 at pc: building, 1 difference: see `relay kernels`"
        assert line in answer((), book).text.splitlines()

    def test_a_pc_that_was_never_there(self, book: Notebook) -> None:
        assert "absent" in row(book, PC)
        assert "not connected yet" in row(book, PC)
        assert "runs the cells" in row(book, LOCAL)

    def test_a_pc_that_runs_the_cells(self, book: Notebook) -> None:
        book.links[PC].greeting = {"host": "tower"}
        book.feed(ev.TargetOpened(PC), ev.KernelStarted(PC))
        book.run(1, PC)
        assert "ready" in row(book, PC)
        assert "runs the cells" in row(book, PC)
        assert "on tower" in row(book, PC)
        assert "tower" not in row(book, LOCAL)

    def test_a_standby_says_what_it_holds(self, book: Notebook) -> None:
        book.run(1, LOCAL)
        book.feed(ev.TargetOpened(PC), ev.KernelStarted(PC))
        assert "is being given the variables after cell 1" in row(book, PC)
        book.feed(ev.SnapshotApplied(PC, 1))
        assert "holds the variables after cell 1" in row(book, PC)

    def test_a_pc_that_went_quiet_says_why(self, book: Notebook) -> None:
        book.feed(ev.TargetOpened(PC), ev.KernelStarted(PC))
        book.feed(ev.LinkClosed(PC, "the link was cut"))
        assert "quiet" in row(book, PC)
        assert "the link was cut" in row(book, PC)

    def test_what_is_safe_and_what_was_chosen(self, book: Notebook) -> None:
        book.run(1, LOCAL)
        last = answer((), book).text.splitlines()[-1]
        assert last == "safe up to cell 0 of 1; epoch 1; target: auto; on_loss: rerun"
        book.feed(ev.TargetForced(LOCAL), ev.OnLossChosen("stop"))
        last = answer((), book).text.splitlines()[-1]
        assert last.endswith("target: forced to local; on_loss: stop")


class TestVariables:
    def test_before_any_cell_there_are_none(self, book: Notebook) -> None:
        assert answer(("vars",), book).text == "safe up to cell 0 of 0: no variables"

    async def test_names_and_what_stays_behind_with_its_reason(self, book: Notebook) -> None:
        book.run(1, LOCAL)
        behind = {"file": {"type": "TextIOWrapper", "reason": "an open file stays on its machine"}}
        captured(book, 1, ["a", "b", "file"], behind)
        first, second = answer(("vars",), book).text.splitlines()
        assert first.endswith(": a, b")
        assert second == "file (TextIOWrapper) stays where it is: an open file stays on its machine"

    async def test_what_was_not_still_and_what_is_slow_is_told(self, book: Notebook) -> None:
        more = {"live": ["queue"], "threads": 2, "digest": "blake2b", "place": "pc"}
        manifest = json.dumps({"names": ["queue"], "left_behind": {}, **more}).encode()
        head = {"cell": 1, "epoch": 1, "chunks": []}
        book.state.captured(LOCAL, Message("captured", head, (manifest,)))
        live, threads, slow = answer(("vars",), book).text.splitlines()[1:]
        assert live.startswith("queue changed while it was packed")
        assert threads.endswith(": 2")
        assert "xxhash is not installed in the environment of the kernel at pc" in slow

    async def test_what_did_not_arrive_is_told_with_its_target(self, book: Notebook) -> None:
        book.state.applied(PC, {"cell": 1, "problems": {"net": "there is no torch here"}})
        last = answer(("vars",), book).text.splitlines()[-1]
        assert last == "net did not arrive at pc: there is no torch here"


class TestOrders:
    @pytest.mark.parametrize(
        ("words", "event"),
        [
            (("auto",), ev.TargetForced(None)),
            (("pc",), ev.TargetForced("pc")),
            (("local",), ev.TargetForced("local")),
            (("on_loss", "stop"), ev.OnLossChosen("stop")),
            (("on_loss", "rerun"), ev.OnLossChosen("rerun")),
        ],
    )
    def test_an_order_is_carried_out_and_said(
        self, book: Notebook, words: tuple[str, ...], event: ev.Event
    ) -> None:
        said = answer(words, book)
        assert (said.event, said.ok) == (event, True)
        assert words[-1] in said.text or words == ("auto",)
        assert "\n" not in said.text

    @pytest.mark.parametrize("words", [(), ("?",), ("vars",)])
    def test_a_question_changes_nothing(self, book: Notebook, words: tuple[str, ...]) -> None:
        said = answer(words, book)
        assert (said.event, said.ok) == (None, True)

    @pytest.mark.parametrize(
        "words", [("pcc",), ("pc", "now"), ("on_loss",), ("on_loss", "never"), ("PC",)]
    )
    def test_what_is_not_understood_is_one_line_that_names_the_targets(
        self, book: Notebook, words: tuple[str, ...]
    ) -> None:
        said = answer(words, book)
        assert (said.event, said.ok) == (None, False)
        assert "\n" not in said.text
        assert " ".join(words) in said.text
        assert "pc, local" in said.text
        assert "%relay?" in said.text

    def test_help_names_every_order(self, book: Notebook) -> None:
        assert answer(("?",), book) == Answer(HELP)
        for word in ("vars", "auto", "TARGET", "on_loss", "%%relay"):
            assert word in HELP


class TestMarkup:
    """What a page shows is what a terminal prints."""

    def test_the_status_is_a_table_with_the_same_words(self, book: Notebook) -> None:
        book.feed(ev.TargetOpened(PC), ev.KernelStarted(PC), ev.LinkClosed(PC, "<cut> & gone"))
        said = answer((), book)
        assert '<table aria-label="Targets">' in said.html
        assert ">pc</th>" in said.html
        assert ">quiet</td>" in said.html
        assert "&lt;cut&gt; &amp; gone" in said.html
        assert "<cut>" in said.text
        for line in said.text.splitlines()[2:]:
            assert f"<p>{line}</p>" in said.html
        assert "color" not in said.html

    async def test_what_stays_behind_is_a_table(self, book: Notebook) -> None:
        book.run(1, LOCAL)
        captured(book, 1, ["a"], {"<f>": {"type": "TextIOWrapper", "reason": "of one machine"}})
        html = answer(("vars",), book).html
        assert ">&lt;f&gt; (TextIOWrapper)</th>" in html
        assert ">of one machine</td>" in html

    def test_where_nothing_stays_behind_there_is_no_table(self, book: Notebook) -> None:
        assert "<table" not in answer(("vars",), book).html
