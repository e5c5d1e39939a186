"""The accuracy experiment in every format, and that its conclusions can fail."""

import mpmath
import numpy as np
import pytest

import softmax_ref
from experiments import accuracy
from softmax_ref.conformance.truth import Truth
from softmax_ref.formats import get_format
from tests.experiments.running import failing, run

SMALL = {"n_max": 100, "rows": 2}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_predictions_hold(dtype, monkeypatch):
    found, names = run(monkeypatch, "accuracy", dtype=dtype)
    assert failing(found) == {"lse-shifted-bound"}  # it leaves no room for the last rounding
    assert found["wider-is-exact"] == "not testable here"
    assert len(names["results"]) == 4 * 3 * 5 * 5


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_formats_differ_where_a_library_computes_wider(dtype, monkeypatch):
    found, _ = run(monkeypatch, "accuracy", dtype=dtype, n_max=100)
    assert found["wider-is-exact"] == "holds"
    assert failing(found) >= {"lse-shifted-bound"}
    assert failing(found) <= {"lse-shifted-bound", "libraries-lose-it", "near-zero"}


@pytest.mark.parametrize("settings", [{"n_max": 2, "rows": 1}, {"seed": 1, **SMALL}])
def test_other_settings_run_to_their_end(settings, monkeypatch):
    found, _ = run(monkeypatch, "accuracy", **settings)
    assert found["shifted-bound"] == found["entry-bound"] == found["lse-safe-bound"] == "holds"


def test_a_sum_that_overflows_alone_is_no_rounding_error(monkeypatch):
    """One of these rows has exponentials that float16 can hold, and a sum that it cannot."""
    found, names = run(monkeypatch, "accuracy", dtype="float16", n_max=100, rows=20)
    assert found["textbook-bound"] == "holds"
    textbook = names["results"][names["results"].library == "textbook"]
    assert textbook.softmax_error.isna().sum() == textbook.lse_error.isna().sum() > 0


def test_a_worse_softmax_is_noticed(monkeypatch):
    right = softmax_ref.softmax
    monkeypatch.setattr(softmax_ref, "softmax", lambda x: right(x) * x.dtype.type(1.001))
    found, _ = run(monkeypatch, "accuracy", **SMALL)
    assert failing(found) >= {"shifted-bound", "entry-bound"}


def test_a_worse_log_sum_exp_is_noticed(monkeypatch):
    right = softmax_ref.logsumexp
    monkeypatch.setattr(softmax_ref, "logsumexp", lambda x: right(x) * x.dtype.type(1.001))
    found, _ = run(monkeypatch, "accuracy", **SMALL)
    assert failing(found) >= {"lse-safe-bound", "lse-safe-bound-equal"}


def test_a_log_softmax_without_log1p_is_noticed(monkeypatch):
    monkeypatch.setattr(softmax_ref, "log_softmax", accuracy._shifted_log_softmax)
    found, _ = run(monkeypatch, "accuracy", **SMALL)
    assert failing(found) == {"lse-shifted-bound", "largest-log-probability"}


def test_a_bound_for_a_better_format_is_broken(monkeypatch):
    """Were the unit roundoff a hundredth of what it is, errors would lie above the bounds."""
    wrong = ("softmax_bound(wide, u,", "softmax_bound(wide, u / 100,")
    found, _ = run(monkeypatch, "accuracy", wrong, **SMALL)
    assert failing(found) >= {"textbook-bound", "shifted-bound"}


def test_a_forgotten_gap_breaks_the_entry_bound(monkeypatch):
    wrong = ("entry_bound(wide, p, u)", "np.full(p.shape, (p.shape[1] + 2) * u)")
    found, _ = run(monkeypatch, "accuracy", wrong, **SMALL)
    assert failing(found) == {"lse-shifted-bound", "entry-bound"}


def test_half_precision_that_is_not_widened_is_noticed(monkeypatch):
    monkeypatch.setattr(softmax_ref, "softmax", accuracy._shifted_softmax)
    found, _ = run(monkeypatch, "accuracy", dtype="bfloat16", **SMALL)
    assert "wider-is-exact" in failing(found)


@pytest.mark.parametrize("deviation", [1.0, 10.0, 50.0])
def test_the_truth_agrees_with_sixty_digits(deviation):
    """To a thousandth of float64's spacing; the last row's log-sum-exp is near 0."""
    x = deviation * np.random.default_rng(0).standard_normal((3, 30))
    x = np.vstack([x, x[:1] - softmax_ref.logsumexp(x[:1])[:, None]])
    found = accuracy.exact_values(x)
    with mpmath.workdps(60):
        for i, row in enumerate(x):
            terms = [mpmath.exp(float(v)) for v in row]
            total = mpmath.fsum(terms)
            for j, term in enumerate(terms):
                assert_close(found.softmax, (i, j), term / total)
            assert_close(found.logsumexp, i, mpmath.log(total))


def assert_close(found, place, value):
    """What was found there is within a thousandth of the spacing of float64 at a value."""
    anchor, rest = float(found.anchor[place]), float(found.rest[place])
    distance = abs(mpmath.mpf(anchor) + rest - value)
    assert distance <= float(np.spacing(abs(float(value)))) / 1000


def test_an_error_of_one_ulp_is_one_ulp():
    f = get_format("float32")
    for x in (1.0, 1.5, 2.0**-130):  # the last is subnormal
        computed = np.array([f.next_up(x)], dtype=f.dtype)
        true = Truth(np.array([x]), np.array([x]), np.zeros(1))
        assert accuracy.ulps(computed, true, f) == pytest.approx([1.0])
