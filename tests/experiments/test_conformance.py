"""The experiment on libraries: where its predictions hold, and that they can fail."""

from functools import partial

import numpy as np

from softmax_ref import conformance
from softmax_ref.conformance import libraries
from tests.experiments.running import failing, run


def with_libraries(monkeypatch, *names, **replaced):
    """Let the experiment look at few libraries, some functions of which are replaced."""
    report = partial(conformance.report, names)
    monkeypatch.setattr(conformance, "report", report)
    monkeypatch.setattr(conformance, "live_failures", lambda: [])
    for name, functions in replaced.items():
        library = conformance.LIBRARIES[name]
        changed = {**library.functions(), **functions}
        entry = libraries.Library(
            library.name, library.distribution, partial(dict, changed), "numpy"
        )
        monkeypatch.setitem(conformance.LIBRARIES, name, entry)


def test_half_precision_as_predicted(monkeypatch):
    with_libraries(monkeypatch, "NumPy formula", "PyTorch", "softmax_ref")
    found, names = run(monkeypatch, "conformance", dtype="bfloat16")
    assert found["still-so"] == "not testable here"
    assert failing(found) == {"edges-others"}  # PyTorch has all of them right
    assert {found[id] for id in ("widened", "equal-logits", "margin")} == {"holds"}
    assert len(names["measured"]) == 9


def test_a_worse_softmax_ref_is_noticed(monkeypatch):
    """A log_softmax without log1p, which calls an empty row an error."""

    def naive(x, axis=-1):
        shifted = x - x.max(axis=axis, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))

    worse = {"softmax_ref": {"log_softmax": naive}}
    with_libraries(monkeypatch, "NumPy formula", "softmax_ref", **worse)
    found, _ = run(monkeypatch, "conformance")
    assert failing(found) >= {"log-softmax-digits", "edges-ours", "no-threshold"}
    assert found["widened"] == found["equal-logits"] == "not testable here"


def test_a_mended_failure_is_news(monkeypatch):
    class Mended:
        verdict, news, version = "mended", "scipy 9 mends it.", "9"
        failure = conformance.FAILURES[0]

    with_libraries(monkeypatch, "NumPy formula", "softmax_ref")
    monkeypatch.setattr(conformance, "live_failures", lambda: [Mended()])
    found, names = run(monkeypatch, "conformance")
    assert found["still-so"] == "fails"
    assert names["news"] == ["scipy 9 mends it."]
