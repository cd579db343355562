"""What the ``relay`` comm says: one notebook at one moment, as JSON that front ends show.

R sends an :class:`Overview` as the ``data`` of a ``comm_msg`` whenever something in it has changed.
Fields may be added without a new :data:`VERSION`; one that changes its meaning makes a new one.
What a page asks for is one of :data:`Wish`; nothing else of R can be changed over the comm.

Times are seconds since the epoch, sizes bytes, loads shares from 0 to 1, round trips milliseconds.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from relay_kernel.core.errors import RelayError

#: Of the schema; ``version`` of every overview.
VERSION = 1
#: The name under which the comm is opened, and the id of the one that is always open.
COMM = "relay"
#: ``mode`` of a notebook whose cells run where the order of preference says.
AUTO = "auto"
#: Variables that stay behind, conflicts, and differences of an environment that are named.
NAMED = 100


@dataclass(frozen=True)
class Gpu:
    """One GPU of a machine."""

    name: str
    load: float | None
    memory_used: int
    memory_total: int


@dataclass(frozen=True)
class Usage:
    """How busy a machine is, whoever uses it."""

    cpu: float
    """Of all cores together, since it was asked before."""
    cores: int
    memory_used: int
    memory_total: int
    gpus: tuple[Gpu, ...] = ()


@dataclass(frozen=True)
class TargetView:
    """One target."""

    name: str
    phase: str
    """See :class:`relay_kernel.core.model.Phase`."""
    since: float | None
    """When the phase began."""
    reason: str
    """Why it is absent or quiet; empty: it is neither."""
    host: str
    rtt_ms: float | None
    is_primary: bool
    applied_cell: int | None
    """The cell whose variables its kernel holds; None: it has no kernel, or holds others."""
    filling_cell: int | None
    """The cell whose variables it is being given."""
    usage: Usage | None
    """While a page watches; see :class:`Watch`."""


@dataclass(frozen=True)
class Running:
    """The cell that runs."""

    cell: int
    message: str
    """The id of its ``execute_request``."""
    target: str


@dataclass(frozen=True)
class LeftBehind:
    """A variable that could not travel."""

    name: str
    type: str
    target: str
    """Where it is."""
    reason: str


@dataclass(frozen=True)
class Conflict:
    """A file that has two versions."""

    path: str
    """Below the user's home: what the server had, under its own name."""
    copy: str
    """Below the user's home: the version that ``target`` had."""
    target: str
    at: float


@dataclass(frozen=True)
class FilesView:
    """The files of all folders that are kept equal."""

    is_kept: bool
    """Whether the notebook's folder is one of them."""
    reason: str
    """Why it is not."""
    pending: dict[str, int]
    """By target: files that are on their way, or wait for it."""
    conflicts: tuple[Conflict, ...]
    conflicts_total: int
    home: str = ""
    """The user's home on the server, in full."""
    folder: str = ""
    """The notebook's, in full: with both, a page finds a version by the path that Jupyter has."""


@dataclass(frozen=True)
class EnvironmentView:
    """The environment of the notebook's kernel at a target."""

    target: str
    phase: str
    reason: str
    """Why it is not ready, or what failed last."""
    drift: tuple[str, ...]
    """How it differs from the one on the server."""


@dataclass(frozen=True)
class Move:
    """The last time that the role moved."""

    epoch: int
    source: str
    target: str
    at: float
    is_loss: bool
    """``source`` was lost."""
    is_news: bool
    """It was lost, or is back; else somebody has asked for it, or it is the beginning."""
    text: str
    """What happened, what was done, and what to do: one line of at most 140 characters, which is
    what JupyterLab shows of one, unless names are long."""
    reason: str
    """Why ``source`` was lost; else empty."""


@dataclass(frozen=True)
class Overview:
    """One notebook."""

    primary: str
    epoch: int
    mode: str
    """:data:`AUTO`, or the target that was chosen for all cells from the next one on."""
    on_loss: str
    cell: int
    """The last cell that has ended."""
    safe_cell: int
    """The last cell whose variables are durable on the server."""
    count: int
    """The execution count of ``cell``."""
    safe_count: int
    """The execution count of ``safe_cell``."""
    running: Running | None
    waiting: int
    """Cells that were sent and have not begun."""
    targets: tuple[TargetView, ...]
    """In order of preference."""
    left_behind: tuple[LeftBehind, ...]
    left_behind_total: int
    files: FilesView
    environments: tuple[EnvironmentView, ...]
    moved: Move | None
    version: int = field(default=VERSION)

    def to_json(self) -> dict[str, Any]:
        """As it goes over the comm."""
        return asdict(self)


@dataclass(frozen=True)
class Look:
    """``{"do": "look"}``: say how it is now, and from now on whenever that changes."""


@dataclass(frozen=True)
class Watch:
    """``{"do": "watch"}``: say for :data:`WATCHED` seconds also how busy the machines are."""


@dataclass(frozen=True)
class Use:
    """``{"do": "use", "target": "pc"}``: as ``%relay pc``; ``"auto"`` as ``%relay auto``."""

    target: str | None
    """None: wherever is best."""


Wish = Look | Watch | Use
#: Seconds for which one :class:`Watch` holds.
WATCHED = 30.0


class WishError(RelayError):
    """What a page asked for is not understood; one line says why."""


def wish_of(data: Any, targets: tuple[str, ...]) -> Wish:
    """What a page asks for.

    Args:
        data: of its ``comm_open`` or ``comm_msg``; one without ``do`` looks.
        targets: that there are.

    Raises:
        WishError: it is none of the above.
    """
    asked = data if isinstance(data, dict) else {}
    match asked.get("do", "look"):
        case "look":
            return Look()
        case "watch":
            return Watch()
        case "use":
            name = asked.get("target")
            if name == AUTO:
                return Use(None)
            if name in targets:
                return Use(name)
            known = ", ".join([AUTO, *targets])
            raise WishError(f"there is no target {name!r} to use; there are: {known}")
    raise WishError(f"the relay comm cannot {asked['do']!r}: look, watch, use")
