"""``python -m softmax_ref.conformance``: check a function, or the libraries, from the shell."""

import os
import sys

from softmax_ref.conformance.cli import main

if __name__ == "__main__":
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of a pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    sys.exit(status)
