"""Fixtures of the end-to-end tests that serve here, too."""

from tests.e2e.conftest import server

__all__ = ["server"]
