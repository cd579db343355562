"""One notebook over two machines, after Conrad Ludgate's "Jupyter Notebooks and the Remote Kernel"."""

__version__ = "0.1.0"
