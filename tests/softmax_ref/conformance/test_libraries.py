"""The table of libraries."""

import json

import pytest

from softmax_ref import conformance
from softmax_ref.conformance.libraries import LIBRARIES, Library, version_of


def test_each_installed_library_is_in_the_table():
    rows = conformance.report(ops=["softmax"], dtypes=["float16"])
    assert [row.library for row in rows] == list(LIBRARIES)
    for row in rows:
        if row.version:
            assert row.status in ("measured", "not offered")
            assert row.version == version_of(LIBRARIES[row.library].distribution)
        else:
            assert row.status == "not installed"
        json.dumps(row.as_json(), allow_nan=False)
    by_name = {row.library: row for row in rows}
    for name in ("NumPy formula", "SciPy", "ONNX reference"):
        assert by_name[name].found.thresholds.entries == 65_519
    for name in ("PyTorch", "softmax_ref"):
        assert by_name[name].found.thresholds.entries is None
        assert by_name[name].found.worst < 0.51


def test_a_library_that_is_not_installed_has_one_row(monkeypatch):
    absent = Library("Nowhere", "no-such-library", lambda: {})
    monkeypatch.setitem(LIBRARIES, "Nowhere", absent)
    (row,) = conformance.report(["Nowhere"])
    assert (row.status, row.version, row.found) == ("not installed", "", None)
    assert row.as_json()["report"] is None


def test_an_unknown_library_is_refused():
    with pytest.raises(
        ValueError, match=r"library must be one of NumPy formula, SciPy, .*; got 'R'"
    ):
        conformance.report(["R"])


@pytest.mark.parametrize("name", LIBRARIES)
def test_the_functions_of_a_library_agree_on_an_easy_input(name):
    library = LIBRARIES[name]
    if library.version() is None:
        pytest.skip(f"{name} is not installed")
    for op, function in library.functions().items():
        report = conformance.check(function, op, "float64", array=library.array)
        easy = [edge for edge in report.edges if edge.name.startswith("axis")]
        assert len(easy) == 3
        assert all(edge.right for edge in easy)


def test_an_onnx_model_is_one_node():
    onnx = pytest.importorskip("onnx")
    from softmax_ref.conformance.libraries import onnx_model

    for op in conformance.OPERATIONS:
        model = onnx_model(op, "float32", 2, 1)
        onnx.checker.check_model(model)
        assert len(model.graph.node) == 1
