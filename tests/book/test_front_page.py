"""The front page says that its last column is right to the digits shown."""

import re

import mpmath
import pytest

from tools import notebooks

mpmath.mp.dps = 60


def _table():
    """The stored output of the front page: row label to the columns' texts."""
    notebook = notebooks.read(notebooks.ROOT / "book" / "index.ipynb")
    text = notebooks.code_cells(notebook)[1].outputs[0].data["text/plain"]
    rows = (re.split(r"\s{2,}", line) for line in text.splitlines()[1:])
    return {row[0]: row[1:] for row in rows}


TRUTH = {
    "softmax of (1000, 1000, 1000)": mpmath.mpf(1) / 3,
    "softmax of the bytes (1, 2)": 1 / (1 + mpmath.e),
    "softmax of 65,520 zeros in float16": mpmath.mpf(1) / 65520,
    "log-softmax of (50, 0)": -mpmath.log1p(mpmath.exp(-50)),
    "gradient at (20, 0) in float32": -1 / (1 + mpmath.exp(20)),
}


@pytest.mark.parametrize("question", TRUTH)
def test_the_last_column_is_right_to_the_digits_shown(question):
    """Three digits agree with sixty-digit arithmetic."""
    assert _table()[question][-1] == f"{float(TRUTH[question]):.3g}"


def test_every_row_is_checked():
    """A row added to the table needs its truth here."""
    assert set(_table()) == set(TRUTH)
