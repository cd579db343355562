"""Bytes to frames and back, and the session that survives links. Pure: no I/O, no clock."""
