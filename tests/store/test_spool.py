"""The file behind an outbox: nothing is lost, nobody else reads it, nothing is left of it."""

from __future__ import annotations

import logging
import os
import random
import resource
import stat
from typing import TYPE_CHECKING

import pytest

from relay_kernel.store.spool import SpoolFile
from relay_kernel.wire.message import Message
from relay_kernel.wire.session import Received
from tests.wire.world import Joined, Session

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def spool(tmp_path: Path) -> SpoolFile:
    return SpoolFile(tmp_path / "spool")


def open_file(spool: SpoolFile) -> int:
    assert spool._fd is not None
    return spool._fd


def test_what_was_appended_is_read(spool: SpoolFile) -> None:
    blocks = [os.urandom(size) for size in (1, 100_000, 0, 7)]
    references = [spool.append(block) for block in blocks]
    for block, reference in zip(blocks, references, strict=True):
        assert reference is not None
        assert spool.read(reference) == block


def test_it_is_private_and_has_no_name(spool: SpoolFile, tmp_path: Path) -> None:
    spool.append(b"what the notebook printed")
    found = os.fstat(open_file(spool))
    assert stat.S_IMODE(found.st_mode) == 0o600
    assert found.st_nlink == 0
    assert list((tmp_path / "spool").iterdir()) == []
    assert stat.S_IMODE((tmp_path / "spool").stat().st_mode) == 0o700


def test_clearing_gives_the_space_back(spool: SpoolFile) -> None:
    spool.append(bytes(1000))
    fd = open_file(spool)
    spool.clear()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
    reference = spool.append(b"again")
    assert reference == (0, 5)
    assert spool.read(reference) == b"again"


def test_the_file_is_closed_with_its_owner(tmp_path: Path) -> None:
    spool = SpoolFile(tmp_path)
    spool.append(b"x")
    fd = open_file(spool)
    del spool
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_a_folder_that_cannot_be_made_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    spool = SpoolFile(tmp_path / "file" / "spool")
    with caplog.at_level(logging.WARNING):
        assert [spool.append(b"x") for _ in range(3)] == [None] * 3
    (record,) = caplog.records
    assert "stays in memory" in record.getMessage()
    assert "\n" not in record.getMessage()


def test_a_full_disk_keeps_what_it_had_and_works_again_with_room(
    spool: SpoolFile, caplog: pytest.LogCaptureFixture
) -> None:
    """A limit on the size of files stands in for the end of the disk: it cuts a write as well."""
    blocks = [bytes([n]) * 50_000 for n in range(10)]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (256 << 10, hard))
    try:
        kept = [(block, spool.append(block)) for block in blocks]
        assert [reference is None for _, reference in kept] == [False] * 5 + [True] * 5
        for block, reference in kept:
            assert reference is None or spool.read(reference) == block
        spool.clear()
        assert spool.append(b"room") is not None
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(caplog.records) == 1


def test_a_session_with_no_link_keeps_what_is_said_on_the_disk(spool: SpoolFile) -> None:
    """R is away for a night, and the cell goes on printing."""
    lines, noise = 3000, random.Random(1).randbytes(20_000)
    left = Session({"session": "s"}, None, spool)
    for number in range(lines):
        left.send(Message("line", {"n": number}, (noise,)))
    assert os.fstat(open_file(spool)).st_size > 30 << 20
    assert left._ordinary._held < 17 << 20
    world = Joined(left)
    numbers: list[int] = []
    world.right.take = lambda events: numbers.extend(  # type: ignore[method-assign]
        event.message.head["n"] for event in events if isinstance(event, Received)
    )
    world.link()
    world.settle()
    assert numbers == list(range(lines))
    assert spool._fd is None
