"""Run the book's notebooks before Sphinx reads them, and only those whose inputs changed.

MyST-NB's own cache looks at the notebook alone, so it would show old results after an edit in
``softmax_ref``.  Here an execution is stored under a key that covers the code cells, the
project's modules that they import, the pinned versions and the interpreter
(:func:`tools.notebooks.execution_key`).  Prose and display tags are not in the key: the reader
takes them from the source and only the outputs from the store.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError

from tools import notebooks

STORE = notebooks.ROOT / "_build" / "executed"
WORKERS = 2


def stored(key: str) -> Path:
    """Return where the execution with this key is kept."""
    return STORE / f"{key}.ipynb"


def read_with_outputs(text: str) -> NotebookNode:
    """Read a notebook's source and give its code cells the outputs of its stored execution."""
    notebook = nbformat.reads(text, as_version=4)
    executed = notebooks.read(stored(notebooks.execution_key(notebook)))
    for cell, run in zip(
        notebooks.code_cells(notebook), notebooks.code_cells(executed), strict=True
    ):
        cell.outputs, cell.execution_count = run.outputs, run.execution_count
    return notebook


def refresh(app: Sphinx, env: BuildEnvironment, *_: object) -> list[str]:
    """Execute what has no stored execution; return the pages whose execution is a new one."""
    keys = {doc: notebooks.execution_key(notebooks.read(path)) for doc, path in _pages(env)}
    stale = [path for doc, path in _pages(env) if not stored(keys[doc]).exists()]
    STORE.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(_execute, stale))
    if notebooks.ROOT.samefile(app.srcdir):  # the small book of a test does not tidy up here
        for leftover in set(STORE.iterdir()) - {stored(key) for key in keys.values()}:
            leftover.unlink()
    known = getattr(env, "execution_keys", {})
    env.execution_keys = keys
    return [doc for doc, key in keys.items() if known.get(doc) != key]


def _pages(env: BuildEnvironment) -> Iterator[tuple[str, Path]]:
    for doc in sorted(env.found_docs):
        path = Path(env.doc2path(doc))
        if path.suffix == ".ipynb":
            yield doc, path


def _execute(path: Path) -> None:
    """Execute one notebook in a process of its own and store the result whole or not at all."""
    start = time.perf_counter()
    run = subprocess.run(
        [sys.executable, "-m", "book._ext.execution_cache", str(path)],
        cwd=notebooks.ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},  # as many threads as cores, over all workers
        capture_output=True,
        text=True,
        check=False,
    )
    name = path.relative_to(notebooks.ROOT)
    if run.returncode:
        raise ExtensionError(f"{name} does not run:\n{run.stderr}")
    # Printed, not logged: a quiet build should still show what it is waiting for.
    print(f"executed {name} in {time.perf_counter() - start:.1f} s", flush=True)


def main(path: Path) -> None:
    """Execute the notebook at ``path`` into the store."""
    target = stored(notebooks.execution_key(notebooks.read(path)))
    partial = target.with_suffix(".partial")
    nbformat.write(notebooks.execute(path), partial)
    partial.replace(target)


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the cache to the build."""
    app.connect("env-get-outdated", refresh)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
