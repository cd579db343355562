"""From an exception of asyncssh or the system to one line that says what to do."""

from __future__ import annotations

import errno
import re
import socket
from typing import TYPE_CHECKING

import asyncssh

from relay_kernel.link.dialling import DIAL_TIMEOUT, dialled
from relay_kernel.link.errors import DialError, DialStep, LoginRefusedError

if TYPE_CHECKING:
    from collections.abc import Collection

    from relay_kernel.settings.config import TargetConfig

_NETWORK = {
    errno.ECONNREFUSED: "refuses the connection: is sshd running there, and is the port right?",
    errno.EHOSTUNREACH: "cannot be reached: is it switched on and on the network?",
    errno.ENETUNREACH: "cannot be reached: this machine has no network to it",
    errno.ETIMEDOUT: "does not answer: is it switched on and on the network?",
    errno.ECONNRESET: "closed the connection before the login: see the log of its sshd",
}


def place(target: TargetConfig) -> str:
    """``pc (me@host:port)``: how every line names the target."""
    return f"{target.name} ({target.ssh})"


def explain(error: Exception, target: TargetConfig) -> DialError:
    """One line for ``error``, met while dialling ``target``, and whether a redial may help."""
    if isinstance(error, DialError):
        return error
    if isinstance(error, asyncssh.ConfigParseError):
        return DialError(
            f"{target.name}: ssh_config is wrong: {error}", permanent=True, step=DialStep.KEY
        )
    if isinstance(error, asyncssh.KeyImportError | asyncssh.KeyEncryptionError):
        return DialError(
            f"{target.name}: a private key cannot be used: {error}",
            permanent=True,
            step=DialStep.KEY,
        )
    if isinstance(error, asyncssh.DisconnectError):
        return _disconnected(error, target)
    if isinstance(error, OSError):
        return _unreachable(error, target)
    return DialError(
        f"{place(target)} cannot be dialled: {error or type(error).__name__}", step=DialStep.PORT
    )


def refused_login(target: TargetConfig, offered: Collection[str]) -> DialError:
    """The PC let nobody in by any of the ways that it ``offered``."""
    copy = f"put a public key there (ssh-copy-id {_as_ssh_copy_id(target)})"
    if "publickey" in offered or "password" not in offered:
        with_key = f"the key {target.identity}" if target.identity else "every key tried"
        line = f"refuses {with_key}: {copy}, or name another with --identity"
    else:
        line = f"asks for a password, and relay-kernel logs in with keys only: {copy}"
    return LoginRefusedError(f"{place(target)} {line}", permanent=True, step=DialStep.LOGIN)


def _disconnected(error: asyncssh.DisconnectError, target: TargetConfig) -> DialError:
    where, answer = place(target), DialStep.ANSWER
    if isinstance(error, asyncssh.PermissionDenied):
        return refused_login(target, [])
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return DialError(
            f"{where}: its host key is not trusted: {error.reason}; the key of a jump host must "
            "stand in ~/.ssh/known_hosts: log in to it once with ssh",
            permanent=True,
            step=DialStep.HOST_KEY,
        )
    if isinstance(error, asyncssh.KeyExchangeFailed | asyncssh.ProtocolNotSupported):
        return DialError(f"{where} speaks no SSH that both sides know: {error.reason}", step=answer)
    if isinstance(error, asyncssh.ConnectionLost):
        return DialError(f"{where} closed the connection before the login was done", step=answer)
    return DialError(f"{where} ended the connection: {error.reason}", step=answer)


def _unreachable(error: OSError, target: TargetConfig) -> DialError:
    where = place(target)
    if error.filename is not None:
        line = f"{target.name}: the file {error.filename} cannot be read: {error.strerror}"
        return DialError(
            f"{line}; see identity in config.toml or IdentityFile in ssh_config",
            permanent=True,
            step=DialStep.KEY,
        )
    if isinstance(error, socket.gaierror):
        return DialError(
            f"{where}: the name does not resolve: check it, or the network ({error.strerror})",
            step=DialStep.NAME,
        )
    if isinstance(error, TimeoutError) and error.errno is None:
        return DialError(
            f"{where} does not answer within {DIAL_TIMEOUT:g} s: "
            "is it switched on and on the network?",
            step=DialStep.PORT,
        )
    code = _code(error)
    line = _NETWORK.get(code, f"cannot be reached: {error.strerror or error}")
    step = DialStep.ANSWER if code == errno.ECONNRESET else DialStep.PORT
    return DialError(f"{where} {line}", step=step)


def _code(error: OSError) -> int:
    """The error number; asyncio keeps it in the text where a name has several addresses."""
    if error.errno is not None:
        return error.errno
    numbers = re.findall(r"\[Errno (\d+)\]", str(error))
    return int(numbers[-1]) if numbers else 0


def _as_ssh_copy_id(target: TargetConfig) -> str:
    """The address with its port as ssh-copy-id takes it."""
    address = dialled(target)
    user = f"{address.user}@" if address.user else ""
    return (f"-p {address.port} " if address.port else "") + user + address.host
