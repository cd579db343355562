"""SSH connections to a PC, and byte streams over them.

Three rules, each learnt from a failure:

1. A host key is checked against the pins of ``relay add``, always: asyncssh with no known hosts
   checks nothing at all.
2. Everything is bounded in time by us: SSH's own limits do not cover the key exchange.
3. Whoever writes also drains: asyncssh buffers without limit for those who do not.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import asyncssh

from relay_kernel.link.channel import Channel
from relay_kernel.link.dialling import DIAL_TIMEOUT, dialled
from relay_kernel.link.errors import DialError, DialStep, LinkError, TooManyChannelsError
from relay_kernel.link.pins import as_host_key, fetch_host_key, read_pins
from relay_kernel.link.reasons import explain, place, refused_login

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from relay_kernel.settings.config import TargetConfig
    from relay_kernel.settings.paths import Places

log = logging.getLogger(__name__)

#: Seconds between SSH keepalives; two without an answer end the connection after 15 s. A backstop:
#: the session above notices in its own time, and across a hung agent too.
KEEPALIVE = 5

#: Milliseconds for which sent bytes may stay unacknowledged before the system gives up.
USER_TIMEOUT = 8000

#: Kinds of host key that are taken besides the pinned one: only to be shown, and refused. Without
#: them sshd hangs up on a PC that was set up anew with keys of another kind, and nobody knows why.
_OTHER_KINDS = "+ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512,rsa-sha2-256"

#: Preferred where the PC has them: a third less time for a small message than the usual chacha20.
_QUICK_CIPHERS = "^aes128-gcm@openssh.com,aes256-gcm@openssh.com"

#: Bytes of a command's input that are written at once.
_PIECE = 256 << 10

#: Seconds for the PC to start a command.
OPEN_TIMEOUT = 10.0


@dataclass(frozen=True)
class Finished:
    """A command that has ended on the PC."""

    status: int
    """The exit status; -1 when a signal or the connection ended it."""
    output: str
    errors: str


class Connection:
    """One SSH connection, logged in. It does not reconnect: when it is closed, dial another."""

    def __init__(self, target: TargetConfig, conn: asyncssh.SSHClientConnection) -> None:
        self.target = target
        self._conn = conn

    async def run(
        self,
        command: str,
        data: bytes = b"",
        *,
        timeout: float,
        progress: Callable[[int, int], None] | None = None,
    ) -> Finished:
        """Run ``command`` on the PC with ``data`` as its input; waits for its end.

        Args:
            command: For the login shell there.
            data: What it reads; its input ends there.
            timeout: Seconds until it is given up.
            progress: Called with the bytes of ``data`` that are on their way, and with all.

        Raises:
            DialError: It could not be started, or did not end in time.
        """
        try:
            async with asyncio.timeout(timeout):
                process = await self._conn.create_process(command, encoding=None, request_pty=False)
                # What it says is read meanwhile: it may answer before it has read everything.
                writing = asyncio.ensure_future(_write(process.stdin, data, progress))
                try:
                    done = await process.wait(check=False)
                finally:
                    writing.cancel()
                    await asyncio.gather(writing, return_exceptions=True)
        except TimeoutError as error:
            raise DialError(
                f"{place(self.target)} did not finish a command within {timeout:g} s"
            ) from error
        except (OSError, asyncssh.Error) as error:
            raise self._broken(error) from error
        status = -1 if done.exit_status is None else done.exit_status
        return Finished(status, _decoded(done.stdout), _decoded(done.stderr))

    async def open_channel(self, command: str) -> Channel:
        """Start ``command`` on the PC as one end of a byte stream.

        Raises:
            TooManyChannelsError: This connection holds as many as the PC's sshd allows.
            DialError: It could not be started.
        """
        try:
            async with asyncio.timeout(OPEN_TIMEOUT):
                writer, reader, errors = await self._conn.open_session(
                    command, encoding=None, request_pty=False
                )
        except (OSError, asyncssh.Error) as error:
            raise self._broken(error) from error
        return Channel(self.target.name, writer, reader, errors)

    async def wait_closed(self) -> None:
        """Return when the connection is over, whoever ended it."""
        await self._conn.wait_closed()

    def abort(self) -> None:
        """End the connection and all its channels now."""
        self._conn.abort()

    def _broken(self, error: Exception) -> LinkError:
        if isinstance(error, asyncssh.ChannelOpenError) and not self._conn.is_closed():
            return TooManyChannelsError(
                f"{place(self.target)} opens no further channel: {error.reason}"
            )
        if isinstance(error, TimeoutError):
            return DialError(f"{place(self.target)} does not start a command in {OPEN_TIMEOUT:g} s")
        return DialError(f"{place(self.target)} lost the connection: {error}")


async def connect(target: TargetConfig, places: Places, *, pairing: str = "") -> Connection:
    """Dial ``target`` and log in, within :data:`DIAL_TIMEOUT` seconds.

    The user's ssh_config (aliases, ProxyJump, keys) and ssh-agent are honoured; its known_hosts is
    not: only what ``relay add`` pinned counts. No password is ever asked for.

    Args:
        target: What is dialled.
        places: Where its pin is.
        pairing: The command that pins its host key, for errors; empty: ``relay add`` it.

    Raises:
        DialError: With one line that says what to do, and whether a redial may help.
    """
    address = dialled(target)
    pairing = pairing or f"relay add {target.name}"
    options = _options(target, places, pairing)
    login = _Login()
    try:
        async with asyncio.timeout(DIAL_TIMEOUT):
            conn = await asyncssh.connect(
                address.host,
                address.port or (),
                username=address.user or (),
                client_factory=lambda: login,
                **options,
            )
    except asyncssh.PermissionDenied as error:
        raise refused_login(target, login.offered) from error
    except (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed) as error:
        raise await _other_key(target, places, login, error, pairing) from error
    except (OSError, ValueError, asyncssh.Error) as error:
        failed = explain(error, target)
        if login.connected and failed.step is DialStep.PORT:
            failed.step = DialStep.ANSWER
        raise failed from error
    _set_user_timeout(conn)
    return Connection(target, conn)


class _Login(asyncssh.SSHClient):
    """Answers no question of the PC, and remembers what was asked, so that a failure is explained.

    asyncssh asks here once it has nothing of its own to answer with.
    """

    def __init__(self) -> None:
        self.shown: asyncssh.SSHKey | None = None
        """The host key, if it is not a pinned one."""
        self.offered: set[str] = set()
        """The ways to log in that the PC has and that failed."""
        self.connected = False
        """Whether anybody listened there."""

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        """Called once there is a connection, before anything is said."""
        self.connected = True

    def validate_host_public_key(
        self, host: str, addr: str, port: int, key: asyncssh.SSHKey
    ) -> bool:
        """Called for a key that is not pinned; never accepts it."""
        self.shown = key
        return False

    def public_key_auth_requested(self) -> None:
        """Called when every key was refused."""
        self.offered.add("publickey")

    def password_auth_requested(self) -> None:
        """Called when the PC takes a password."""
        self.offered.add("password")

    def kbdint_auth_requested(self) -> None:
        """Called when the PC would ask questions, a password mostly."""
        self.offered.add("password")


def _options(target: TargetConfig, places: Places, pairing: str) -> dict[str, Any]:
    pins = read_pins(places, target.name)
    if not pins:
        raise DialError(
            f"{place(target)}: its host key is not pinned yet: run {pairing}",
            permanent=True,
            step=DialStep.PIN,
        )
    trusted = [asyncssh.import_public_key(f"{key.kind} {key.blob}") for key in pins]
    options: dict[str, Any] = {
        "known_hosts": (trusted, [], []),
        "connect_timeout": DIAL_TIMEOUT,
        "login_timeout": DIAL_TIMEOUT,
        "keepalive_interval": KEEPALIVE,
        "keepalive_count_max": 2,
        "server_host_key_algs": _OTHER_KINDS,
        "encryption_algs": _QUICK_CIPHERS,
        "preferred_auth": "publickey,keyboard-interactive,password",
        "agent_forwarding": False,
        "x11_forwarding": False,
        "command": None,
    }
    if target.identity is not None:
        options |= _identity(target, target.identity)
    return options


def _identity(target: TargetConfig, path: Path) -> dict[str, Any]:
    """Options for logging in with the key in ``path``, or with the agent's copy of it."""
    if not path.is_file():
        raise DialError(
            f"{target.name}: the identity file {path} does not exist",
            permanent=True,
            step=DialStep.KEY,
        )
    options: dict[str, Any] = {"client_keys": [str(path)], "ignore_encrypted": True}
    public = path.with_name(path.name + ".pub")
    if public.is_file():
        # Else every key of a well-filled ssh-agent is tried first, and sshd gives up after six.
        options["agent_identities"] = [str(public)]
    try:
        asyncssh.read_private_key(path)
    except asyncssh.KeyImportError as error:
        if not str(error).startswith("Passphrase"):
            raise DialError(
                f"{target.name}: {path} is no private key: {error}",
                permanent=True,
                step=DialStep.KEY,
            ) from error
        if not os.environ.get("SSH_AUTH_SOCK"):
            raise DialError(
                f"{target.name}: the key {path} has a passphrase and no ssh-agent runs here: "
                "start one and ssh-add the key, or use a key without a passphrase",
                permanent=True,
                step=DialStep.KEY,
            ) from error
    except OSError as error:
        raise explain(error, target) from error
    return options


async def _other_key(
    target: TargetConfig,
    places: Places,
    login: _Login,
    error: asyncssh.DisconnectError,
    pairing: str,
) -> DialError:
    """The PC shows a key that is not pinned; or has none of the pinned kind, then ask for it."""
    pins = read_pins(places, target.name)
    if login.shown is not None:
        shown = as_host_key(login.shown)
    else:
        try:
            shown = await fetch_host_key(target)
        except DialError:
            return explain(error, target)
    if shown in pins:
        return explain(error, target)
    pinned = " and ".join(str(key) for key in pins)
    return DialError(
        f"{place(target)} shows the host key {shown}, but {pinned} is pinned: if that machine was "
        f"set up anew, run {pairing} again; if not, somebody may be in between",
        permanent=True,
        step=DialStep.HOST_KEY,
    )


def _set_user_timeout(conn: asyncssh.SSHClientConnection) -> None:
    """Have the system give up on a silent peer sooner than after its usual quarter of an hour."""
    peer = cast("socket.socket | None", conn.get_extra_info("socket"))
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if peer is not None and option is not None and peer.family != socket.AF_UNIX:
        with contextlib.suppress(OSError):
            peer.setsockopt(socket.IPPROTO_TCP, option, USER_TIMEOUT)


async def _write(
    stdin: asyncssh.SSHWriter[bytes], data: bytes, progress: Callable[[int, int], None] | None
) -> None:
    # A command may well end without having read its input.
    with contextlib.suppress(BrokenPipeError):
        for start in range(0, len(data), _PIECE):
            stdin.write(data[start : start + _PIECE])
            await stdin.drain()
            if progress is not None:
                progress(min(start + _PIECE, len(data)), len(data))
        stdin.write_eof()


def _decoded(data: object) -> str:
    return bytes(cast("bytes", data or b"")).decode(errors="replace")
