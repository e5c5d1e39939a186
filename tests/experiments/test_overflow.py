"""The overflow experiment in every format, and that its conclusions can fail."""

import json
from pathlib import Path
from typing import get_args

import matplotlib.pyplot as plt
import nbformat
import papermill
import pytest
from papermill.exceptions import PapermillExecutionError

from experiments.suite import catalogue
from experiments.suite.parameters import FloatFormat
from softmax_ref import softmax, textbook

NOTEBOOK = catalogue.FOLDER / "overflow.ipynb"
ALL = {
    "exp-threshold",
    "sum-threshold",
    "silent-zeros",
    "threshold-by-classes",
    "training-scales",
    "row-prediction",
    "stable-survives",
    "formula-loses",
    "training-suffices",
}


def verdicts(monkeypatch, fault=None, **settings):
    """Run the notebook's code in this process; return the verdicts and all its names.

    A fault is a pair of texts: what is to be replaced in the code, and by what.
    """
    monkeypatch.setattr(plt, "show", plt.close)
    namespace = {"__name__": "__main__", "__annotations__": {}}
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        if cell.cell_type == "code":
            exec(cell.source.replace(*fault) if fault else cell.source, namespace)
        if "parameters" in cell.metadata.get("tags", []):
            namespace.update(settings)
    return {item.id: item.verdict for item in namespace["conclusions"]}, namespace


@pytest.mark.parametrize("dtype", get_args(FloatFormat))
def test_predictions_hold_in_every_format(dtype, monkeypatch):
    found, names = verdicts(monkeypatch, dtype=dtype)
    expected = dict.fromkeys(ALL, "holds")
    if dtype != "float16":
        expected["training-suffices"] = "fails"  # logits of 45 stay below 88.7
    if dtype == "bfloat16":
        expected["threshold-by-classes"] = "fails"  # its sums of equal terms stop growing
    assert found == expected
    assert names["results"]["rows"].sum() == 31 * (500 + 450) + 5 * 450


@pytest.mark.parametrize("dtype", get_args(FloatFormat))
def test_the_stable_formula_contradicts_every_prediction_of_failure(dtype, monkeypatch):
    found, _ = verdicts(monkeypatch, dtype=dtype, algorithm="stable")
    contradicted = ALL - {"training-scales", "stable-survives"}
    assert found == {id: "fails" if id in contradicted else "holds" for id in ALL}


def test_a_wrong_prediction_fails(monkeypatch):
    """Were the largest number thought 10% larger than it is, every threshold would be off."""
    largest = "float(np.log(number_format.max))"
    assert largest in NOTEBOOK.read_text(encoding="utf-8")
    found, _ = verdicts(monkeypatch, fault=(largest, f"{largest} + 0.1"))
    wrong = {"exp-threshold", "sum-threshold", "threshold-by-classes", "row-prediction"}
    assert {id for id, verdict in found.items() if verdict == "fails"} == wrong


def test_a_textbook_formula_that_is_stable_after_all_is_noticed(monkeypatch):
    monkeypatch.setattr(textbook, "softmax", softmax)
    found, _ = verdicts(monkeypatch, scale_steps=5)
    assert found["exp-threshold"] == found["formula-loses"] == "fails"


def test_a_stable_softmax_that_overflows_is_noticed(monkeypatch):
    monkeypatch.setattr("softmax_ref.softmax", textbook.softmax)
    found, _ = verdicts(monkeypatch, scale_steps=5)
    assert found["stable-survives"] == found["formula-loses"] == "fails"


@pytest.mark.parametrize(("n", "rows"), [(2, 1), (1_000, 20)])
@pytest.mark.parametrize("dtype", get_args(FloatFormat))
def test_other_sizes_run_to_their_end(dtype, n, rows, monkeypatch):
    found, _ = verdicts(monkeypatch, dtype=dtype, n=n, rows=rows, scale_steps=3)
    assert found.keys() == ALL
    void = dtype == "bfloat16" and n == 1_000  # n roundings of 2⁻⁸ each: the bound says nothing
    assert found["row-prediction"] == ("not testable here" if void else "holds")


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("dytpe", "float16", "Unknown parameter 'dytpe': choose dtype, algorithm, n, rows"),
        ("dtype", "foo", "Parameter dtype cannot be 'foo': give float16, bfloat16, float32"),
    ],
)
def test_plain_papermill_stops_at_the_first_cell(name, value, sentence, tmp_path: Path):
    output = tmp_path / "out.ipynb"
    with pytest.raises(PapermillExecutionError) as caught:
        papermill.execute_notebook(
            NOTEBOOK, output, {name: value}, progress_bar=False, kernel_name="python3"
        )
    assert caught.value.ename == "UserError"
    assert caught.value.evalue.startswith(sentence)
    cells = json.loads(output.read_text())["cells"]
    ran = [cell for cell in cells if cell.get("execution_count")]
    assert "check_parameters" in "".join(ran[-1]["source"])
