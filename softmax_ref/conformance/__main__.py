"""``python -m softmax_ref.conformance``: check a function, or the libraries, from the shell."""

import sys

from softmax_ref.conformance.cli import main

if __name__ == "__main__":
    sys.exit(main())
