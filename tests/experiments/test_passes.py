"""The experiment on passes over memory: counts, results, and how ratios become verdicts."""

import numpy as np
import pytest

from experiments import passes, timing
from experiments.passes import FORMS, Memory
from softmax_ref import softmax
from tests.experiments.running import failing, run

TINY = {"small": 4_096, "large": 50_000, "block": 1_024, "max_seconds": 0.05}
COUNTED = {"accesses", "same-result"}
TIMED = {
    "online-out-of-cache",
    "online-cached",
    "storing-out-of-cache",
    "storing-cached",
    "two-pass",
    "gain-is-memory",
    "below-copy",
}


def synthetic(monkeypatch, cached, out_of_cache, spread=0.001):
    """Let each form take a given time, in copies, at the two sizes; results stay real."""
    sizes = iter([cached, out_of_cache])

    def measure(works, **_):
        for work in works.values():
            work()
        times = {"copy": 1.0} | next(sizes)
        jitter = 1 + spread * np.linspace(-1, 1, 21)
        seconds = {
            name: list(times[name] * (jitter if i % 2 else jitter[::-1]))
            for i, name in enumerate(works)
        }
        once = dict.fromkeys(works, 1)
        return timing.Timings(seconds, once, {}, 0.95, 0.02, True, [])

    monkeypatch.setattr(timing, "measure", measure)


def times(*values):
    """Name times in the order of the forms."""
    return dict(zip(FORMS, values, strict=True))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_counts_and_results_hold_with_real_times(dtype, monkeypatch):
    found, _ = run(monkeypatch, "passes", dtype=dtype, **TINY)
    assert found.keys() == COUNTED | TIMED
    assert {found[id] for id in COUNTED} == {"holds"}


def test_times_as_predicted_hold(monkeypatch):
    synthetic(monkeypatch, times(10, 8, 9, 9.8), times(12, 9, 10, 9))
    found, _ = run(monkeypatch, "passes", **TINY)
    assert set(found.values()) == {"holds"}


def test_times_against_the_prediction_fail(monkeypatch):
    synthetic(monkeypatch, times(10, 11, 12, 11), times(20, 23, 30, 24))
    found, _ = run(monkeypatch, "passes", **TINY)
    assert failing(found) == TIMED - {"below-copy"}


def test_equal_times_show_no_difference(monkeypatch):
    synthetic(monkeypatch, times(10, 10, 10, 10), times(10, 10, 10, 10))
    found, names = run(monkeypatch, "passes", **TINY)
    assert {id for id in TIMED if found[id] == "not testable here"} == TIMED - {"below-copy"}
    evidence = {item.id: item.evidence for item in names["conclusions"]}
    assert "no difference shown" in evidence["online-cached"]


def test_a_form_faster_than_its_traffic_is_noticed(monkeypatch):
    """Two loads and a store in less than the 1.5 copies that they amount to."""
    synthetic(monkeypatch, times(10, 8, 9, 9.8), times(12, 9, 10, 1.2))
    found, _ = run(monkeypatch, "passes", **TINY)
    assert failing(found) == {"below-copy"}


def test_a_pass_too_many_is_noticed(monkeypatch):
    def wasteful(memory):
        for part in memory.parts():
            memory.load(part)
        passes.online(memory)

    monkeypatch.setitem(passes.FORMS, "online", wasteful)
    with pytest.raises(AssertionError):
        run(monkeypatch, "passes", **TINY)


def test_a_wrong_result_is_noticed(monkeypatch):
    def hasty(memory):
        passes.online(memory)
        memory.out *= 1.001

    monkeypatch.setitem(passes.FORMS, "online", hasty)
    with pytest.raises(AssertionError):
        run(monkeypatch, "passes", **TINY)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("order", ["rising", "falling"])
def test_forms_are_softmax_wherever_the_maximum_is(form, order):
    """Logits beyond float32's exponentials, with the maximum in the first or the last block."""
    x = np.linspace(-200.0, 200.0, 5_001).astype(np.float32)
    x = x if order == "rising" else x[::-1].copy()
    memory = Memory(x, np.empty_like(x), 256)
    form(memory)
    expected = softmax(x.astype(np.float64))
    # Spread 400 at unit roundoff 2^-24, as the notebook allows.
    assert memory.out == pytest.approx(expected, abs=(32 + 800) * 2.0**-24 * expected.max())
