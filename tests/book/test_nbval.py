"""nbval compares stored outputs in earnest: a changed one fails."""

import subprocess
import sys

import nbformat
import pytest


@pytest.mark.parametrize(("stored", "status"), [("0.659\n", 0), ("0.660\n", 1)])
def test_a_changed_output_fails(tmp_path, stored, status):
    """The same notebook passes with the output that it gives and fails with another."""
    cell = nbformat.v4.new_code_cell(
        "print(0.659)",
        execution_count=1,
        outputs=[nbformat.v4.new_output("stream", name="stdout", text=stored)],
    )
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "page.ipynb")
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "--nbval",
            "--nbval-current-env",
            "-p",
            "no:cacheprovider",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == status, run.stdout
