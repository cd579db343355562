"""The deterministic simulator: the unchanged router, fence and session on virtual time."""
