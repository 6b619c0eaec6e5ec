"""`python -m reanchor` is the command `reanchor`."""

import sys

from reanchor.cli import main

sys.exit(main())
