"""What the user wants, and where this machine keeps it."""
