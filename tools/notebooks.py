"""Execute, normalise and fingerprint the project's notebooks.

Run as ``python tools/notebooks.py [PATH ...]`` (all notebooks without a path) to re-execute
notebooks in a clean kernel and rewrite them so that a diff shows only what changed.
"""

import argparse
import ast
import hashlib
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK_FOLDERS = ("book", "experiments")
FIRST_PARTY = ("softmax_ref", "experiments")
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
AUTHORED_CELL_METADATA = ("tags", "mystnb")
CELL_TIMEOUT = 600  # seconds; a quick experiment takes a few


def notebook_paths() -> list[Path]:
    """Return the notebooks that git tracks or would track, in a fixed order."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.ipynb"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    paths = (ROOT / name for name in listed if name.split("/")[0] in NOTEBOOK_FOLDERS)
    recorded = ROOT / "experiments" / "recorded"
    return sorted(p for p in paths if p.exists() and recorded not in p.parents)


def read(path: Path) -> NotebookNode:
    """Read a notebook in format version 4."""
    return nbformat.read(path, as_version=4)


def execute(path: Path) -> NotebookNode:
    """Run a notebook in a clean kernel, in its own folder, and return it with its outputs.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If a cell fails that does not carry the tag ``raises-exception``.
    """
    notebook = read(path)
    for cell in code_cells(notebook):
        cell.outputs, cell.execution_count = [], None
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()
    return notebook


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """Return the code cells of a notebook that hold any code."""
    return [c for c in notebook.cells if c.cell_type == "code" and c.source.strip()]


# --- normal form ------------------------------------------------------------------------------


def normalise(notebook: NotebookNode) -> NotebookNode:
    """Rewrite metadata, cell ids and outputs in place so that equal content gives equal bytes.

    Images are dropped: the build makes them, and their bytes differ between machines.
    """
    notebook.metadata = NotebookNode(METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        cell.id = _cell_id(cell, seen)
        cell.metadata = NotebookNode(
            {k: v for k, v in cell.metadata.items() if k in AUTHORED_CELL_METADATA}
        )
        if cell.cell_type == "code":
            cell.outputs = _merge_streams([_normal_output(out) for out in cell.outputs])
    return notebook


def _cell_id(cell: NotebookNode, seen: dict[str, int]) -> str:
    digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:8]
    seen[digest] = seen.get(digest, 0) + 1
    return digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"


def _normal_output(output: NotebookNode) -> NotebookNode:
    if "data" in output:
        output.data = {k: v for k, v in output.data.items() if not k.startswith("image/")}
        output.metadata = {k: v for k, v in output.metadata.items() if not k.startswith("image/")}
    return output


def _merge_streams(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Join neighbouring pieces of one stream: where it is cut depends on the machine's load."""
    merged: list[NotebookNode] = []
    for output in outputs:
        last = merged[-1] if merged else {}
        if output.output_type == "stream" and last.get("name") == output.name:
            last.text += output.text
        else:
            merged.append(output)
    return merged


def dumps(notebook: NotebookNode) -> str:
    """Serialise a notebook as it stands in the repository."""
    return nbformat.writes(notebook, version=4) + "\n"


# --- what an execution depends on -------------------------------------------------------------


def execution_key(notebook: NotebookNode) -> str:
    """Hash all that can change a notebook's outputs: code, own modules, pins and interpreter.

    Prose, display tags and stored outputs do not enter: editing them re-runs nothing.
    """
    digest = hashlib.sha256()
    for part in (platform.python_version(), _read_bytes(ROOT / "requirements.txt")):
        digest.update(part if isinstance(part, bytes) else part.encode())
    for cell in code_cells(notebook):
        digest.update(b"\0" + cell.source.encode())
        digest.update(b"\1" * ("raises-exception" in cell.metadata.get("tags", [])))
    for path in sorted(_dependencies(notebook)):
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + _read_bytes(path))
    return digest.hexdigest()[:24]


def _dependencies(notebook: NotebookNode) -> set[Path]:
    """Return the project's own files that the notebook's code imports, directly or not."""
    found: set[Path] = set()
    waiting = [m for cell in code_cells(notebook) for m in _imports(_python_only(cell.source))]
    while waiting:
        for path in _module_files(waiting.pop()):
            if path not in found:
                found.add(path)
                if path.suffix == ".py":
                    waiting += _imports(path.read_text(encoding="utf-8"), path)
    return found


def _python_only(source: str) -> str:
    """Drop IPython's magics and shell lines, which the Python parser does not know."""
    return "\n".join("pass" if ln.lstrip()[:1] in ("%", "!") else ln for ln in source.splitlines())


def _imports(source: str, path: Path | None = None) -> list[str]:
    """Return the dotted names that Python source imports from the project's own packages."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, path)
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return [name for name in names if name.split(".")[0] in FIRST_PARTY]


def _absolute(node: ast.ImportFrom, path: Path | None) -> str:
    if not node.level or path is None:
        return node.module or ""
    package = path.relative_to(ROOT).parent.parts
    package = package[: len(package) - node.level + 1]
    return ".".join([*package, *(node.module or "").split(".")]).strip(".")


def _module_files(name: str) -> list[Path]:
    """Return the files behind a dotted name: each package passed through, and data beside it."""
    files, folder = [], ROOT
    for part in name.split("."):
        module = folder / f"{part}.py"
        folder = folder / part
        if module.exists():
            files.append(module)
        if (folder / "__init__.py").exists():
            files.append(folder / "__init__.py")
            files += [p for p in folder.iterdir() if p.suffix in (".mplstyle", ".json", ".csv")]
    return files


@cache
def _read_bytes(path: Path) -> bytes:
    return path.read_bytes()


# --- command line -----------------------------------------------------------------------------


def refresh(path: Path) -> None:
    """Re-execute one notebook and rewrite it in normal form if that changes it."""
    text = dumps(normalise(execute(path)))
    changed = text != path.read_text(encoding="utf-8")
    if changed:
        path.write_text(text, encoding="utf-8")
    print(f"{path.relative_to(ROOT)}: {'rewritten' if changed else 'unchanged'}", flush=True)


def main() -> None:
    """Re-execute and normalise the notebooks named on the command line, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", type=Path, help="notebooks (default: all)")
    paths = [p.resolve() for p in parser.parse_args().paths] or notebook_paths()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(refresh, paths))


if __name__ == "__main__":
    sys.exit(main())
