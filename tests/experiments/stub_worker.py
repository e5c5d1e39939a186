"""Takes the place of the notebook's process: quick, and told by environment variables what to do.

STUB_GATE names a file: a run that takes no times waits while it is there.  STUB_LOG names a file: a
line is added for each run that is executed.  A run with n = 50 fails; one with n = 60 writes 1 MB.
The file ``threads`` keeps how many threads it was allowed, ``waits`` the process that waits to be
alone, and ``spans.json`` when it worked and when it took times, in seconds of a clock that all
processes share.
"""

import json
import os
import re
import sys
import threading
import time
from pathlib import Path

go_on = threading.Event()


def listen():
    """End when standard input closes, as the real one does."""
    while os.read(sys.stdin.fileno(), 1024):
        go_on.set()
    os._exit(1)


def take_times(folder, spans):
    """Wait to be alone, and take a while; add when the work so far and this began and ended."""
    spans["working"].append(time.monotonic())
    (folder / "waits").write_text(str(os.getpid()), encoding="utf-8")
    print(json.dumps({"waits": True}), flush=True)
    go_on.wait()
    spans["alone"] = [time.monotonic()]
    time.sleep(0.1)
    spans["alone"].append(time.monotonic())
    print(json.dumps({"cells_done": 2, "cells": 2}), flush=True)


def main():
    """Do what the order on standard input and the environment ask for."""
    order = json.loads(sys.stdin.readline())
    folder, n = Path(os.environ["SOFTMAX_CHECKED_RUN_FOLDER"]), order["parameters"]["n"]
    threading.Thread(target=listen, daemon=True).start()
    spans = {"working": [time.monotonic()]}
    print(json.dumps({"cells_done": 1, "cells": 2}), flush=True)
    text = "n\n" + f"{n}\n" * (500_000 if n == 60 else 1)
    (folder / "measurements.csv").write_text(text, encoding="utf-8")
    (folder / "threads").write_text(os.environ.get("OMP_NUM_THREADS", "all"), encoding="utf-8")
    if re.search(order["alone"], Path(order["notebook"]).read_text(encoding="utf-8")):
        take_times(folder, spans)
    else:
        while os.environ.get("STUB_GATE") and Path(os.environ["STUB_GATE"]).exists():
            time.sleep(0.02)
        spans["working"].append(time.monotonic())
    (folder / "spans.json").write_text(json.dumps(spans), encoding="utf-8")
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
