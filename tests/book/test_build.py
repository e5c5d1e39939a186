"""The build refuses a reference to nothing: the gate is tried on planted faults."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from book._ext import execution_cache
from tools import notebooks

PAGE = """# Page

```{{prf:theorem}} Sum
:label: thm-sum

The entries sum to 1.
```

{references}
"""
SOUND = "See {prf:ref}`thm-sum`."
BROKEN = {
    "thm-none": "See {prf:ref}`thm-none`.",
    "eq-none": "See {eq}`eq-none`.",
    "fig-none": "See {numref}`fig-none`.",
    "nowhere": "See [there](nowhere.md).",
    "nobody1900": "See {cite:p}`nobody1900`.",
}


@pytest.fixture
def build(tmp_path):
    """Build a one-page book under the project's own configuration."""

    def build(references):
        (tmp_path / "book").mkdir()
        for name in ("_config.yml", "book/_static", "book/references.bib"):
            (tmp_path / name).symlink_to(notebooks.ROOT / name)
        (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: page\n")
        (tmp_path / "page.md").write_text(PAGE.format(references=references))
        command = [Path(sys.executable).parent / "jupyter-book", "build", tmp_path]
        return subprocess.run(
            [*command, "--warningiserror", "--keep-going"],
            env={**os.environ, "PYTHONPATH": str(notebooks.ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )

    return build


def test_a_sound_page_builds(build):
    """The gate lets a page through whose references all exist, and the book keeps its outputs."""
    execution_cache.STORE.mkdir(parents=True, exist_ok=True)
    kept = execution_cache.stored("of-no-notebook")
    kept.touch()
    run = build(SOUND)
    assert run.returncode == 0, run.stderr
    kept.unlink()


def test_broken_references_stop_the_build(build):
    """Planted faults: a reference of each kind to nothing fails the build and is named."""
    run = build("\n".join([SOUND, *BROKEN.values()]))
    assert run.returncode != 0
    assert [name for name in BROKEN if name not in run.stderr] == []
