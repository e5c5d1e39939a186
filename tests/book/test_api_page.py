"""The API page shows every public name of the package."""

import re

import softmax_ref
from tools import notebooks


def test_every_public_name_is_on_the_page():
    """A name added to the package's `__all__` needs its place in the reference."""
    page = (notebooks.ROOT / "book" / "api.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"auto(?:function|class):: (\w+)", page))
    assert set(softmax_ref.__all__) - shown == set()
