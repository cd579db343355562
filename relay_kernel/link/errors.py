"""What goes wrong between the server and a PC."""

from __future__ import annotations

from enum import Enum

from relay_kernel.core.errors import RelayError


class DialStep(Enum):
    """What a dial goes through, in this order: those before the one that failed were well."""

    PIN = "pin"
    """A host key was accepted for the target, by ``relay add``."""
    KEY = "key"
    """The private key and ``ssh_config`` on this side."""
    NAME = "name"
    """The host name resolves."""
    PORT = "port"
    """Somebody listens there."""
    ANSWER = "answer"
    """It is an SSH server, and it answers."""
    HOST_KEY = "host key"
    """It shows the key that is pinned."""
    LOGIN = "login"
    """It lets this user in."""
    SHELL = "shell"
    """It runs commands."""


class LinkError(RelayError):
    """The link failed in a way that a new link may cure."""

    retryable = True


class DialError(LinkError):
    """A target could not be reached.

    Attributes:
        reason: One line: what happened, where, what to do.
        permanent: True when a redial cannot help before a person changes something: the host
            key, the login, the configuration, what is installed on the PC.
        waited: True when the hub has waited for the target as long as it was asked to: no need to
            wait before the next attempt.
        step: Where a dial over SSH failed; ``None`` behind the login, or where it is not known.
    """

    def __init__(
        self,
        reason: str,
        *,
        permanent: bool = False,
        waited: bool = False,
        step: DialStep | None = None,
    ) -> None:
        reason = " ".join(reason.split())
        super().__init__(reason)
        self.reason = reason
        self.permanent = permanent
        self.waited = waited
        self.step = step
        self.retryable = not permanent


class TooManyChannelsError(DialError):
    """The PC's sshd grants no further channel on this connection: its ``MaxSessions`` says 10."""


class MissingAgentError(DialError):
    """The PC has a Python, and no agent of this version: one can be put there."""


class OutdatedError(DialError):
    """The hub is of another version than this process, which shall end and be started anew."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, permanent=True)


class LoginRefusedError(DialError):
    """The other machine runs SSH, is the right one, and lets this key not in."""
