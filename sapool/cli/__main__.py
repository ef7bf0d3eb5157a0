"""`python -m sapool.cli`."""

import sys

from sapool.cli.main import main

sys.exit(main())
