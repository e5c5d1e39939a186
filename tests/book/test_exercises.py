"""Each code exercise that can be checked is asked on a page, and its solution is checked there."""

import re

import pytest

from softmax_ref import exercises
from tools import notebooks

CHAPTERS = [path for path in notebooks.notebook_paths() if "book" in path.parts]


def asked(chapters) -> list[str]:
    """Return the labels of the exercises in the chapters, without their ``ex-``."""
    cells = [cell.source for path in chapters for cell in notebooks.read(path).cells]
    return re.findall(r"^:label: ex-(\S+)$", "\n".join(cells), re.MULTILINE)


def checked(chapters) -> list[str]:
    """Return the names that the chapters' code hands to ``check``."""
    cells = [
        cell.source for path in chapters for cell in notebooks.code_cells(notebooks.read(path))
    ]
    return re.findall(r"\bcheck\(\"([\w-]+)\"", "\n".join(cells))


@pytest.mark.parametrize("name", exercises.names())
def test_a_checker_has_its_exercise(name):
    """One exercise with this label, one solution that is checked."""
    assert asked(CHAPTERS).count(name) == 1
    assert name in checked(CHAPTERS)


@pytest.mark.parametrize(
    "path", [p for p in CHAPTERS if "index" not in p.name], ids=lambda p: p.stem
)
def test_a_chapter_has_four_exercises(path):
    """At least four, from hand to code."""
    assert len(asked([path])) >= 4
