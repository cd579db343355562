"""``python -m relay_kernel.cli``: ``relay`` where its script is not on the path."""

import sys

from relay_kernel.cli import main

sys.exit(main())
