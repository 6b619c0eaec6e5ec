"""`python -m reanchor` is the command `reanchor`."""

import sys

from reanchor.cli.main import main

sys.exit(main())
