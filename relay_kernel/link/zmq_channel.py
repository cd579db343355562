"""A ZeroMQ socket on an asyncio loop, with nothing between a message and the socket.

``ZMQStream`` queues each send for a later turn of the loop, which costs a cell of seven messages
about a millisecond; here a send is a send.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import zmq

from relay_kernel.wire.kernel_frames import LARGE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from relay_kernel.wire.message import Part

#: Messages read at a stretch before others on the loop get their turn.
_BURST = 64

#: Frames that are never large: a delimiter, a signature, a header, its parent, metadata.
_HEAD = 5
# Plain numbers: pyzmq's are enums, and combining those for each frame costs more than the frame.
_MORE = int(zmq.NOBLOCK | zmq.SNDMORE)
_LAST = int(zmq.NOBLOCK)
_POLLIN = int(zmq.POLLIN)


class ZmqChannel:
    """Owns a socket: reads it, writes it, closes it.

    The socket must have no high-water mark for sending, so that a send never has to wait.

    Invariant: its file descriptor only signals changes. So it is read until it is empty, and looked
    at again after each send, which may have swallowed a signal.
    """

    def __init__(self, socket: zmq.Socket[bytes], on_frames: Callable[[list[Part]], None]) -> None:
        self._socket = socket
        self._on_frames = on_frames
        self._loop = asyncio.get_running_loop()
        self._due = False
        self._loop.add_reader(int(socket.FD), self._read)
        self._read_soon()

    def send(self, frames: Sequence[Part]) -> None:
        """Send one message. One to a peer that is gone is dropped, as ZeroMQ does."""
        if self._socket.closed:
            return
        last = len(frames) - 1
        for number, frame in enumerate(frames):
            flags = _LAST if number == last else _MORE
            self._socket.send(frame, flags, len(frame) < LARGE)
        if int(self._socket.get(zmq.EVENTS)) & _POLLIN:
            self._read_soon()

    def _read_soon(self) -> None:
        if not self._due:
            self._due = True
            self._loop.call_soon(self._read)

    def _read(self) -> None:
        self._due = False
        for _ in range(_BURST):
            if self._socket.closed:
                return
            try:
                frames = self._receive()
            except zmq.Again:
                return
            try:
                self._on_frames(frames)
            except BaseException:
                self._read_soon()
                raise
        self._read_soon()

    def _receive(self) -> list[Part]:
        """The next message. Large frames of it are not copied, except among the first.

        Raises:
            zmq.Again: There is none.
        """
        frames: list[Part] = [self._socket.recv(_LAST)]
        while len(frames) < _HEAD and self._socket.getsockopt(zmq.RCVMORE):
            frames.append(self._socket.recv(_LAST))
        while self._socket.getsockopt(zmq.RCVMORE):
            frame = self._socket.recv(_LAST, copy=False)
            frames.append(frame.bytes if len(frame) < LARGE else frame.buffer)
        return frames

    def drain(self) -> None:
        """Hand over, now, all that has arrived."""
        while not self._socket.closed:
            try:
                frames = self._receive()
            except zmq.Again:
                return
            self._on_frames(frames)

    def close(self, linger: int = 0) -> None:
        """Close the socket; what is queued has ``linger`` milliseconds to leave."""
        if not self._socket.closed:
            self._loop.remove_reader(self._socket.FD)
            self._socket.close(linger=linger)
