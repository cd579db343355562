"""R: the kernel that Jupyter sees."""
