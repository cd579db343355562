"""Decisions. Pure: events in, effects out; time is an argument; no I/O, no clock, no randomness."""
