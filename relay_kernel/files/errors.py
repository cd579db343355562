"""What goes wrong with a folder that is kept equal."""

from __future__ import annotations

from relay_kernel.core.errors import RelayError


class FolderError(RelayError):
    """The folder cannot be worked on before a person changes something."""


class UnsafePathError(RelayError):
    """A path leads out of its folder, or through a link; nothing was done with it."""


class ChangedError(RelayError):
    """A file is no longer what was asked for; a new look at the folder tells what it is now."""

    retryable = True


class NoSpaceError(RelayError):
    """The disk is too full for what should come; nothing was left half."""

    retryable = True


class DamagedError(RelayError):
    """What arrived is not what its digest says."""

    retryable = True
