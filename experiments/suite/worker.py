"""Execute one notebook with papermill, as a process of its own.

The order comes as one line of JSON on standard input: ``notebook``, ``output``, ``parameters``.
Progress and the result go out as lines of JSON on standard output.  Before a cell whose code
matches ``alone`` the process says that it waits, and goes on when anything more comes in.  It ends,
and takes its kernel with it, when standard input closes: that is how it learns that its parent was
killed.
"""

import json
import os
import re
import sys
import threading
from contextlib import redirect_stdout

import papermill
import psutil
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError

go_on = threading.Event()


class ReportingEngine(NBClientEngine):
    """Papermill's own engine, which also says which cell has just ended, and waits to be alone."""

    @classmethod
    def execute_managed_notebook(cls, nb_man, kernel_name, *, alone, **kwargs):
        start, complete, total = nb_man.cell_start, nb_man.cell_complete, len(nb_man.nb.cells)

        def cell_start(cell, cell_index=None, **more):
            start(cell, cell_index=cell_index, **more)
            if cell.cell_type == "code" and re.search(alone, cell.source):
                say(waits=True)
                go_on.wait()
                go_on.clear()

        def cell_complete(cell, cell_index=None, **more):
            complete(cell, cell_index=cell_index, **more)
            say(cells_done=cell_index + 1, cells=total)

        nb_man.cell_start, nb_man.cell_complete = cell_start, cell_complete
        return super().execute_managed_notebook(nb_man, kernel_name, **kwargs)


def say(**message: object) -> None:
    """Send one message to the parent process."""
    print(json.dumps(message), file=sys.__stdout__, flush=True)


def listen() -> None:
    """When standard input closes, end the kernel and this process at once."""
    while os.read(sys.stdin.fileno(), 1024):
        go_on.set()
    for child in psutil.Process().children(recursive=True):
        child.kill()
    os._exit(1)


def main() -> int:
    """Run the notebook; return the exit status."""
    order = json.loads(sys.stdin.readline())
    threading.Thread(target=listen, daemon=True).start()
    papermill_engines.register("reporting", ReportingEngine)
    try:
        with redirect_stdout(sys.stderr):
            papermill.execute_notebook(
                order["notebook"],
                order["output"],
                order["parameters"],
                engine_name="reporting",
                progress_bar=False,
                kernel_name="python3",
                alone=order["alone"],
            )
    except PapermillExecutionError as error:
        say(error=f"{error.ename}: {error.evalue}")
        return 1
    except Exception as error:
        say(error=f"{type(error).__name__}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
