"""Which edges are asked in which format; that the table itself is right, other tests show."""

from softmax_ref import conformance
from softmax_ref.conformance.edges import edges
from softmax_ref.formats import FORMATS


def test_most_formats_have_all_edges_of_the_table():
    for dtype in ("float64", "float32", "float16", "bfloat16"):
        names = {edge.name for edge in edges("softmax", FORMATS[dtype])}
        assert set(conformance.EDGES) <= names


def test_integers_are_looked_at_in_float64_only():
    names = {dtype: [e.name for e in edges("softmax", FORMATS[dtype])] for dtype in FORMATS}
    assert [dtype for dtype in names if "uint8" in names[dtype]] == ["float64"]
