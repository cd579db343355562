"""The environment plane: what a kernel has installed on the server is rebuilt at the targets."""
