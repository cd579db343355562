"""Who waits for a chunk is answered, and a disk that spoils everything keeps nobody busy."""

from __future__ import annotations

import asyncio

import pytest

from relay_kernel.kernel import healing
from relay_kernel.kernel.healing import Healer
from relay_kernel.wire.message import Message

KEY = "k" * 40


class Notebook:
    """What a healer orders and offers, where ``pc`` runs the cells."""

    def __init__(self) -> None:
        self.primary = ("pc", 4)
        self.sent: list[tuple[str, Message]] = []
        self.offered: list[tuple[str, list[str]]] = []
        self.here: set[str] = set()
        self.woken = asyncio.Event()
        self.healer = Healer(
            lambda: self.primary, self._send, lambda *offer: self.offered.append(offer)
        )

    def _send(self, target: str, order: Message) -> None:
        self.sent.append((target, order))
        self.woken.set()

    def missing(self, keys: list[str]) -> list[str]:
        return [key for key in keys if key not in self.here]


@pytest.fixture
def notebook() -> Notebook:
    return Notebook()


def test_the_kernel_that_runs_the_cells_is_asked_once_for_all(notebook: Notebook) -> None:
    assert notebook.healer.had("local", KEY, 7)
    assert notebook.healer.had("local", "other", 7)
    assert notebook.sent == [
        ("pc", Message("capture", {"cell": 7, "epoch": 4, "distrust": True})),
    ]
    notebook.here = {KEY}
    notebook.healer.settle(notebook.missing)
    assert notebook.offered == [("local", [KEY])]
    (_, lost) = notebook.sent[-1]
    assert (lost.kind, lost.head["key"], lost.head["lost"]) == ("chunk", "other", True)
    # Nobody waits any more.
    notebook.healer.settle(notebook.missing)
    assert len(notebook.sent) == 2


def test_who_runs_the_cells_itself_has_nobody_to_ask(notebook: Notebook) -> None:
    assert not notebook.healer.had("pc", KEY, 7)
    assert notebook.sent == []


def test_a_chunk_is_not_had_for_ever(notebook: Notebook) -> None:
    for _ in range(healing.TRIES):
        assert notebook.healer.had("local", KEY, 7)
        notebook.healer.settle(notebook.missing)
    assert not notebook.healer.had("local", KEY, 7)
    for _ in range(healing.TRIES):
        assert notebook.healer.source_lacks("pc", 4, 7, {"third"})
    assert not notebook.healer.source_lacks("pc", 4, 7, {"third"})


def test_the_loss_of_who_was_asked_is_an_answer(notebook: Notebook) -> None:
    notebook.healer.had("local", KEY, 7)
    notebook.healer.forget("pc", notebook.missing)
    assert [order.head.get("lost") for _, order in notebook.sent] == [None, True]


def test_who_is_gone_is_not_answered(notebook: Notebook) -> None:
    notebook.healer.had("local", KEY, 7)
    notebook.healer.forget("local", notebook.missing)
    notebook.healer.settle(notebook.missing)
    assert len(notebook.sent) == 1


async def test_a_snapshot_that_failed_is_tried_again_by_itself(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk was full, and the user runs no further cell."""
    monkeypatch.setattr(notebook.healer, "_pause", 0.01)
    notebook.healer.try_later("pc", 4, 7)
    await asyncio.wait_for(notebook.woken.wait(), 20)
    assert notebook.sent == [
        ("pc", Message("capture", {"cell": 7, "epoch": 4, "distrust": False})),
    ]


async def test_it_is_not_where_the_role_has_moved(notebook: Notebook) -> None:
    notebook.healer.try_later("pc", 4, 7)
    notebook.primary = ("local", 5)
    notebook.healer._try("pc", 4, 7)
    assert notebook.sent == []
    notebook.healer.calm()
