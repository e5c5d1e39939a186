"""The build refuses what a reader would stumble over: each gate is tried on a planted fault."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools import notebooks

PAGE = """# Page

```{{prf:theorem}} Sum
:label: thm-sum

The entries sum to 1.
```

{line}
"""


@pytest.fixture
def build(tmp_path):
    """Build a one-page book with the project's own configuration."""

    def build(line):
        (tmp_path / "book").mkdir()
        for name in ("_config.yml", "book/_static", "book/references.bib"):
            (tmp_path / name).symlink_to(notebooks.ROOT / name)
        (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: page\n")
        (tmp_path / "page.md").write_text(PAGE.format(line=line))
        return subprocess.run(
            [Path(sys.executable).parent / "jupyter-book", "build", tmp_path, "--warningiserror"],
            env={**os.environ, "PYTHONPATH": str(notebooks.ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )

    return build


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("See {prf:ref}`thm-sum`.", None),
        ("See {prf:ref}`thm-none`.", "thm-none"),
        ("See {eq}`eq-none`.", "eq-none"),
        ("See {numref}`fig-none`.", "fig-none"),
        ("See [there](nowhere.md).", "nowhere"),
        ("See {cite:p}`nobody1900`.", "nobody1900"),
    ],
)
def test_a_broken_reference_stops_the_build(build, line, complaint):
    """A sound page builds; a reference to nothing fails and is named."""
    run = build(line)
    assert (run.returncode == 0) == (complaint is None), run.stdout + run.stderr
    assert (complaint or "") in run.stderr
