"""What goes wrong between the server and a PC."""

from __future__ import annotations

from relay_kernel.core.errors import RelayError


class LinkError(RelayError):
    """The link failed in a way that a new link may cure."""

    retryable = True


class DialError(LinkError):
    """A target could not be reached.

    Attributes:
        reason: One line: what happened, where, what to do.
        permanent: True when a redial cannot help before a person changes something: the host
            key, the login, the configuration, what is installed on the PC.
    """

    def __init__(self, reason: str, *, permanent: bool = False) -> None:
        reason = " ".join(reason.split())
        super().__init__(reason)
        self.reason = reason
        self.permanent = permanent
        self.retryable = not permanent


class TooManyChannelsError(DialError):
    """The PC's sshd grants no further channel on this connection: its ``MaxSessions`` says 10."""
