"""Takes the place of the notebook's process: quick, and told by environment variables what to do.

STUB_GATE names a file: the run waits while it is there.  STUB_LOG names a file: a line is added for
each run that is executed.  A run with n = 50 fails; one with n = 60 writes 1 MB.  The file
``threads`` keeps how many threads it was allowed.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path


def die_with_parent():
    """End when standard input closes, as the real one does."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os._exit(1)


def main():
    """Do what the order on standard input and the environment ask for."""
    order = json.loads(sys.stdin.readline())
    folder, n = Path(os.environ["SOFTMAX_CHECKED_RUN_FOLDER"]), order["parameters"]["n"]
    threading.Thread(target=die_with_parent, daemon=True).start()
    print(json.dumps({"cells_done": 1, "cells": 2}), flush=True)
    text = "n\n" + f"{n}\n" * (500_000 if n == 60 else 1)
    (folder / "measurements.csv").write_text(text, encoding="utf-8")
    (folder / "threads").write_text(os.environ.get("OMP_NUM_THREADS", "all"), encoding="utf-8")
    while os.environ.get("STUB_GATE") and Path(os.environ["STUB_GATE"]).exists():
        time.sleep(0.02)
    if n == 50:
        print(json.dumps({"error": "AssertionError: too many"}), flush=True)
        sys.exit(1)
    (folder / "notebook.ipynb").write_bytes(Path(order["notebook"]).read_bytes())
    conclusion = {"id": "small", "statement": "There are at most five classes."}
    conclusion |= {"verdict": "holds" if n <= 5 else "fails", "evidence": f"there are {n}"}
    conclusion |= {"quantity": {"value": n, "low": n - 1, "high": n + 1, "unit": "classes"}}
    (folder / "conclusions.json").write_text(json.dumps([conclusion]), encoding="utf-8")
    if os.environ.get("STUB_LOG"):
        with open(os.environ["STUB_LOG"], "a", encoding="utf-8") as log:
            log.write(f"{n}\n")


if __name__ == "__main__":
    main()
