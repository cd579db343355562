"""Which targets the configuration names; it may change while the notebook is open.

One that is named no more stays known, since its kernel may hold the variables. It stands behind
``local``, which so takes over between two cells, as soon as it holds them too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay_kernel.core.model import LOCAL, Phase
from relay_kernel.core.records import Target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay_kernel.core import events as ev
    from relay_kernel.core.router import Router

TAKEN_OUT = "it was taken out of the configuration"


def configure(router: Router, event: ev.TargetsConfigured) -> list[Target]:
    """Take the names over; returns the targets that are linked and wait for a kernel since."""
    again = [name for name in event.names if name in unnamed(router)]
    gone = [name for name in router.names if name not in (*event.names, LOCAL)]
    router.names = [*event.names, LOCAL, *gone]
    for name in event.names:
        router.targets.setdefault(name, Target(name))
    if router.forced in gone:
        router.forced = None
    return [router.targets[name] for name in again if router.targets[name].phase is Phase.LINKED]


def unnamed(router: Router) -> Sequence[str]:
    """The targets that are named no more."""
    return router.names[router.names.index(LOCAL) + 1 :]


def given_up(router: Router) -> list[str]:
    """Those of them whose kernel nobody needs."""
    held = (router.targets[name] for name in unnamed(router) if name != router.primary)
    return [target.name for target in held if target.kernel or target.starting]
