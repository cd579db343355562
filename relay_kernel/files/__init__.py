"""One end of the file plane: a folder that is looked at, served, and changed in safe steps."""
