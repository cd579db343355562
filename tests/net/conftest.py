"""Fixtures of tests on a network of two machines."""

from __future__ import annotations

from tests.net.lab import lab

__all__ = ["lab"]
