"""``python -m relay_kernel -f CONNECTION_FILE`` is the kernel; the command line is ``relay``."""

from relay_kernel.kernel.ahead import main

main()
