"""A kernelspec ``relay-NAME`` for each Python kernelspec, written and kept by itself."""
