"""What owns the kernels at a target: a process on a PC, an object inside R for ``local``."""
