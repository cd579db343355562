"""What every dial has in common: where to, and for how long at most."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay_kernel.link.errors import DialError
from relay_kernel.settings.address import Address, parse_address

if TYPE_CHECKING:
    from relay_kernel.settings.config import TargetConfig

#: Seconds from the first packet to the end of the login. SSH's own time limit ends with the TCP
#: handshake, so a PC that hangs in the key exchange would hold a dial for ever.
DIAL_TIMEOUT = 10.0

#: Seconds between one dial and the next, while nobody answers; the last goes on for ever. A link
#: that held for longer than that was sound: after it, it begins anew.
BACK_OFF = (0.2, 0.5, 1.0, 2.0, 2.0, 5.0, 5.0, 10.0)


def dialled(target: TargetConfig) -> Address:
    """Where ``target`` is dialled.

    Raises:
        DialError: It is one that dials in, or its address is no address.
    """
    if target.ssh is None:
        raise DialError(
            f"{target.name} dials in, and is not there: run relay join on it", permanent=False
        )
    try:
        return parse_address(target.ssh)
    except ValueError as error:
        raise DialError(f"{target.name}: {error}", permanent=True) from error
