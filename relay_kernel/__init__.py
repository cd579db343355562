"""One notebook over two machines.

The idea is Conrad Ludgate's: "Jupyter Notebooks and the Remote Kernel" (2020).
"""

__version__ = "0.1.0"
