"""The process of the file plane: its socket, its links, and its end.

There is one a user on the server. It reaches the targets through the hub, over SSH connections that
carry nothing else.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relay_kernel import __version__
from relay_kernel.core.errors import RelayError
from relay_kernel.files.line import Line
from relay_kernel.files.plane import Plane
from relay_kernel.files.wishes import Wishes
from relay_kernel.hub.client import open_stream
from relay_kernel.hub.envs import EnvPlane
from relay_kernel.link.clock import now
from relay_kernel.link.dialling import BACK_OFF
from relay_kernel.link.errors import DialError, OutdatedError
from relay_kernel.link.peer import is_own
from relay_kernel.link.pump import Pump
from relay_kernel.link.stream import SocketStream
from relay_kernel.settings.atomic import replace_file
from relay_kernel.settings.config import ConfigError
from relay_kernel.settings.followed import FollowedConfig
from relay_kernel.wire.session import Opened, Parted, Received, Refused, Session, SessionEvent

if TYPE_CHECKING:
    from relay_kernel.settings.paths import Places

log = logging.getLogger(__name__)

#: Seconds in which nobody needs the plane after which it ends itself.
IDLE_AFTER = 600.0
#: Seconds between looks at ``config.toml``, and at folders that could not be worked on.
LOOK = 1.0
#: Seconds until a target that said no is asked again: a person may have mended it.
REFUSED = 30.0
#: Seconds for which the hub shall wait for a target that dials in, once it was known to be away.
HOLD = 20.0
#: Bytes of the longest wish.
LONGEST = 1 << 20


class FilesService:
    """Serves one user until SIGTERM, or until nobody needs it. The caller holds the lock."""

    def __init__(self, places: Places, *, idle_after: float = IDLE_AFTER) -> None:
        self._places = places
        self._idle_after = idle_after
        self._plane = Plane(Path.home(), places.files)
        self._wishes = Wishes(self._plane)
        self._envs = EnvPlane(places)
        self._config = FollowedConfig(places.config)
        self._complaint = ""
        self._written: object = None
        self._links: dict[str, asyncio.Task[None]] = {}
        self._believed: dict[str, dict[str, Any]] = {}
        self._clients: set[asyncio.Task[None]] = set()
        self._needed_at = now()
        self._over = asyncio.Event()

    async def run(self) -> None:
        """Serve until the end; leaves no socket behind."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._over.set)
        socket = self._places.files_socket
        await self._look()
        socket.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._accept, socket, limit=LONGEST)
        socket.chmod(0o600)
        looking = asyncio.create_task(self._keep_looking())
        mirroring = asyncio.create_task(self._mirror())
        log.info("the file plane %d serves at %s", os.getpid(), socket)
        try:
            await self._over.wait()
        finally:
            socket.unlink(missing_ok=True)
            self._places.files_status.unlink(missing_ok=True)
            server.close()
            await _end([looking, mirroring, *self._clients, *self._links.values()])
            await self._plane.close()
            log.info("the file plane %d ends", os.getpid())

    async def _mirror(self) -> None:
        """The environment plane lives here, too; what goes wrong with it harms no files."""
        try:
            await self._envs.run()
        except OutdatedError as error:
            log.info("%s: it makes way", error)
            self._over.set()
        except Exception:
            log.exception("the environment plane has ended")

    # ------------------------------------------------------------------ what is wanted

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(LOOK)
            await self._look()
            await self._plane.retry()
            self._write_down()
            if self._plane.is_wanted or self._clients or self._envs.is_busy:
                self._needed_at = now()
            elif now() - self._needed_at > self._idle_after:
                log.info("nobody needs the file plane")
                self._over.set()

    async def _look(self) -> None:
        """Follow ``config.toml``; a wrong one changes nothing until it is mended."""
        try:
            is_new = self._config.look()
        except ConfigError as error:
            log.warning("%s", error)
            self._complaint = str(error)
            return
        if is_new:
            self._complaint = ""
            looking = asyncio.ensure_future(self._plane.configure(self._config.now))
            # Its first step says what is wanted. The targets are dialled while that is looked at.
            await asyncio.sleep(0)
            await self._follow_targets()
            await looking
        await self._follow_targets()

    async def _follow_targets(self) -> None:
        """One link for each target, while there is anything to keep equal."""
        names = {target.name for target in self._config.now.targets}
        if not self._plane.has_folders:
            names = set()
        gone = [self._links.pop(name) for name in [*self._links] if name not in names]
        await _end(gone)
        for name in names - self._links.keys():
            self._links[name] = asyncio.create_task(self._keep_linked(name))

    def _write_down(self) -> None:
        """For ``relay status``. A full disk costs the display, never a file."""
        files = self._plane.status()["files"]
        if files == self._written:
            return
        text = json.dumps({"pid": os.getpid(), "files": files}) + "\n"
        try:
            replace_file(self._places.files_status, text, durable=False)
            self._written = files
        except OSError as error:
            log.warning("%s cannot be written: %s", self._places.files_status, error)

    # ------------------------------------------------------------------ links

    async def _keep_linked(self, target: str) -> None:
        """Dial, and dial again."""
        tries = 0
        while True:
            began = now()
            pause = BACK_OFF[min(tries, len(BACK_OFF) - 1)]
            try:
                hold = HOLD if tries else 0.0
                streams = await open_stream(self._places, target, patience=hold, plane="files")
                reason, refused = await self._speak(target, SocketStream(*streams))
                pause = REFUSED if refused else pause
            except OutdatedError as error:
                log.info("%s: it makes way", error)
                self._over.set()
                return
            except DialError as error:
                reason = error.reason
                pause = REFUSED if error.permanent else 0.0 if error.waited else pause
            except OSError as error:
                reason = str(error) or type(error).__name__
            if self._believed.get(target) != {"linked": False, "error": reason}:
                log.info("%s: %s", target, reason)
            self._believed[target] = {"linked": False, "error": reason}
            # A link that held for a while was sound: the next one is tried at once.
            tries = 0 if now() - began > BACK_OFF[-1] else tries + 1
            await asyncio.sleep(pause)

    async def _speak(self, target: str, stream: SocketStream) -> tuple[str, bool]:
        """One link's life; returns why it ended, and whether the target would have none of us."""
        heartbeat = self._config.now.kernel.heartbeat
        hello = {"plane": "files", "version": __version__, "session": secrets.token_hex(8)}
        work: list[asyncio.Task[None]] = []
        refusal: list[str] = []

        def on_event(event: SessionEvent) -> None:
            if isinstance(event, Received):
                line.handle(event.message)
            elif isinstance(event, Opened):
                self._believed[target] = {"linked": True, "error": ""}
                log.info("%s is linked", target)
                work.append(asyncio.create_task(self._plane.run(target, line)))
            elif isinstance(event, Refused):
                refusal.append(str(event.fields.get("why")))
            elif isinstance(event, Parted):
                line.cut(f"it said goodbye: {event.fields.get('reason')}")

        pump = Pump(Session({**hello, "heartbeat": heartbeat}, heartbeat), on_event)
        line = Line(pump)
        reason = "it was ended here"
        try:
            reason = await pump.run_until(stream, line.closed)
        finally:
            pump.part(reason)
            await line.close(reason)
            await asyncio.gather(*work, return_exceptions=True)
        return (refusal or [line.reason])[0], bool(refusal)

    # ------------------------------------------------------------------ clients

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._clients.add(client)
        client.add_done_callback(self._clients.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client; nothing that happens here harms another."""
        try:
            if not is_own(writer.get_extra_info("socket")):
                log.warning("a client of another user was refused")
                return
            while line := await reader.readline():
                answer = await self._answer(line)
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except (OSError, ValueError) as error:
            log.info("a client was dropped: %s", error or type(error).__name__)
        except Exception:
            log.exception("a client was dropped")
        finally:
            writer.transport.abort()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            wish = json.loads(line)
            if not isinstance(wish, dict):
                raise ValueError("it is no object")
        except (ValueError, RecursionError) as error:
            return {"error": f"the file plane did not understand: {error}"}
        if wish.get("version", __version__) != __version__:
            log.info("the file plane makes way for version %s", wish["version"])
            asyncio.get_running_loop().call_soon(self._over.set)
            return {"error": "it makes way", "outdated": True}
        try:
            if wish.get("plane") == "envs":
                return {"ok": True, **await self._envs.handle(wish)}
            answer = await self._wishes.answer(wish)
            if wish.get("do") == "use":
                await self._follow_targets()
        except (RelayError, OSError) as error:
            return {"error": " ".join(str(error).split())}
        return {"ok": True, **answer, **(self._about() if wish.get("do") == "status" else {})}

    def _about(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "version": __version__,
            "complaint": self._complaint,
            "targets": {
                target.name: self._believed.get(target.name, {"linked": False, "error": ""})
                for target in self._config.now.targets
            },
        }


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
