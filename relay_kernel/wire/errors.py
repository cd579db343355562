"""Who broke the protocol."""

from __future__ import annotations

from relay_kernel.core.errors import RelayError


class ProtocolError(RelayError):
    """The peer sent what no correct peer sends. The link it came over is spent.

    Its text is one line for a person: what came, and what could have come.
    """

    retryable = True
