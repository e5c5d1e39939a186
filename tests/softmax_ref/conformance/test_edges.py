"""The table of edges holds for what the package offers, and agrees with the correctly rounded."""

import numpy as np
import pytest

from softmax_ref import conformance, exact
from softmax_ref.conformance.edges import edges
from softmax_ref.formats import FORMATS


@pytest.mark.parametrize("name", conformance.EDGES)
@pytest.mark.parametrize("dtype", FORMATS)
def test_the_correctly_rounded_functions_keep_to_the_table(dtype, name):
    fmt = FORMATS[dtype]
    x, *expected = conformance.EDGES[name]
    given = np.asarray(fmt.round(np.array(x)))
    if not np.array_equal(given.astype(np.float64), x, equal_nan=True):
        return  # the format does not have these numbers
    for op, value in zip(conformance.OPERATIONS, expected, strict=True):
        result = np.asarray(getattr(exact, op)(given), dtype=np.float64)
        np.testing.assert_array_equal(result, fmt.round(np.array(value)).astype(np.float64))


def test_most_formats_have_all_edges_of_the_table():
    for dtype in ("float64", "float32", "float16", "bfloat16"):
        names = {edge.name for edge in edges("softmax", FORMATS[dtype])}
        assert set(conformance.EDGES) <= names


def test_integers_are_looked_at_in_float64_only():
    names = {dtype: [e.name for e in edges("softmax", FORMATS[dtype])] for dtype in FORMATS}
    assert [dtype for dtype in names if "uint8" in names[dtype]] == ["float64"]
