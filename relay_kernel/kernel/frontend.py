"""The front ends' side of R: four ZeroMQ sockets, messages in and out, and those R makes itself."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from relay_kernel.agent.launch import SCHEME
from relay_kernel.link.zmq_channel import ZmqChannel
from relay_kernel.wire.errors import ProtocolError
from relay_kernel.wire.kernel_frames import KernelFrames, join, split

if TYPE_CHECKING:
    from collections.abc import Callable

    import zmq
    from jupyter_client.session import Session

    from relay_kernel.wire.message import Part

log = logging.getLogger(__name__)


class FrontEnd:
    """Speaks to all connected front ends.

    Args:
        session: signs and checks with the key of the connection file.
        sockets: ``shell``, ``control``, ``stdin`` (ROUTER) and ``iopub`` (XPUB), bound.
        on_message: called on the loop for each sound message that comes in.
        ports: of R's sockets, by the names of ``connect_reply``.
    """

    def __init__(
        self,
        session: Session,
        sockets: dict[str, zmq.Socket[bytes]],
        on_message: Callable[[KernelFrames], None],
        ports: dict[str, int],
    ) -> None:
        self.ports = ports
        self.on_subscriber: Callable[[], None] = lambda: None
        """Called when somebody starts to listen on IOPub."""
        self._session = session
        self._on_message = on_message
        self._channels = {
            name: ZmqChannel(socket, self._welcome if name == "iopub" else self._receiver(name))
            for name, socket in sockets.items()
        }

    def _receiver(self, channel: str) -> Callable[[list[Part]], None]:
        def receive(frames: list[Part]) -> None:
            try:
                message, signature = split(channel, frames)
                if signature != self._session.sign(message.body[:4]):
                    raise ProtocolError(f"a message on {channel} has a wrong signature")
                _ = message.header, message.parent
            except ProtocolError as error:
                log.warning("%s; ignored", error)
                return
            self._on_message(message)

        return receive

    def _welcome(self, frames: list[Part]) -> None:
        """Greet a new subscriber (JEP 65): from now on it misses nothing."""
        event = bytes(frames[0])
        if event[:1] == b"\x01":
            topic = event[1:]
            content = {"subscription": topic.decode(errors="replace")}
            self._make("iopub", "iopub_welcome", content, {}, [topic] if topic else [])
            self.on_subscriber()

    @property
    def key(self) -> bytes:
        """What a kernel here may sign with for front ends; empty where it would do so otherwise."""
        return bytes(self._session.key) if self._session.signature_scheme == SCHEME else b""

    # ------------------------------------------------------------------ out

    def send(self, message: KernelFrames) -> None:
        """Pass on a message of a kernel, signed with the key that front ends know."""
        signature = message.signature or self._session.sign(message.body[:4])
        self._channels[message.channel].send(join(message, signature))

    def _make(
        self,
        channel: str,
        msg_type: str,
        content: dict[str, Any],
        parent: dict[str, Any],
        ids: list[bytes],
        metadata: dict[str, Any] | None = None,
    ) -> None:
        message = self._session.msg(msg_type, content, parent, metadata=metadata)
        self._channels[channel].send(self._session.serialize(message, ident=ids))

    def publish(self, msg_type: str, content: dict[str, Any], parent: dict[str, Any]) -> None:
        """Publish a message of R's own on IOPub; ``parent`` is a header, or empty."""
        topic = f"kernel.relay.{msg_type}".encode()
        self._make("iopub", msg_type, content, parent, [topic])

    def status(self, state: str, parent: dict[str, Any]) -> None:
        """Publish ``busy``, ``idle`` or ``starting``."""
        self.publish("status", {"execution_state": state}, parent)

    def reply(
        self,
        request: KernelFrames,
        content: dict[str, Any],
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Answer a request in R's own name, on the channel it came on."""
        kind = request.type.replace("_request", "_reply")
        self._make(request.channel, kind, content, request.header, request.ids, metadata)

    def request(self, channel: str, msg_type: str, content: dict[str, Any]) -> KernelFrames:
        """A request of R's own to a kernel; no front end knows of it."""
        made = self._session.serialize(self._session.msg(msg_type, content))
        return split(channel, made)[0]

    def answer(self, request: KernelFrames, content: dict[str, Any]) -> None:
        """Answer a request in R's own name, between a busy and an idle."""
        self.status("busy", request.header)
        self.reply(request, content)
        self.status("idle", request.header)

    def refuse(self, request: KernelFrames, name: str, text: str) -> None:
        """Answer that it cannot be done, as a kernel would."""
        error = {"ename": name, "evalue": text, "traceback": []}
        self.answer(request, {"status": "error", **error, **_of_debugger(request, text)})

    def end(self, request: KernelFrames, reason: str, *, answered: bool, idle: bool) -> None:
        """End a request that nobody will answer any more: the reply, if it lacks one, and idle."""
        if not answered:
            text = f"{request.type} was not answered: {reason}"
            error = {"ename": "RelayTargetLost", "evalue": text, "traceback": []}
            self.reply(request, {"status": "error", **error, **_of_debugger(request, text)})
        if not idle:
            self.status("idle", request.header)

    def ask(self, request: KernelFrames, content: dict[str, Any]) -> None:
        """Ask the front end that sent ``request``; its input_reply is a message like any other."""
        self._make("stdin", "input_request", content, request.header, request.ids)

    def close(self) -> None:
        """Write out what is queued, and close the sockets."""
        for channel in self._channels.values():
            channel.close(linger=500)


def _of_debugger(request: KernelFrames, text: str) -> dict[str, Any]:
    """What a reply that says no has besides, where it is one of a debugger's (DAP)."""
    if request.type != "debug_request":
        return {}
    asked = request.content
    about = {"command": asked.get("command", ""), "request_seq": asked.get("seq", 0)}
    return {"type": "response", **about, "success": False, "message": text}
