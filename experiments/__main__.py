"""``python -m experiments``: the command line of the experiment suite."""

import sys

from experiments.suite.cli import main

if __name__ == "__main__":
    sys.exit(main())
