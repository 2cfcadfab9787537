"""`python -m daemon.cli` is `bmsd`."""

import sys

from daemon.cli import main

sys.exit(main())
