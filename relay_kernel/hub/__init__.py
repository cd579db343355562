"""One process a user on the server, which holds the links to the PCs for all kernels."""
