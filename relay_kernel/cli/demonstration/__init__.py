"""The parts of ``relay demo``."""
