"""Checking a function: how it is called, what the report says, what it refuses."""

import json

import numpy as np
import pytest
import torch
from scipy import special

import softmax_ref as sr
from softmax_ref import conformance, exact, textbook
from softmax_ref.conformance.calling import adapt, find
from softmax_ref.conformance.thresholds import thresholds
from softmax_ref.conformance.truth import errors, samples, truth
from softmax_ref.formats import FORMATS
from tests.softmax_ref.conformance import oracle


def test_scipy_and_torch_in_their_formats():
    for function, dtype, array in (
        (special.softmax, "float32", "numpy"),
        (torch.softmax, "float32", "torch"),
        (torch.nn.functional.softmax, "bfloat16", "torch"),
    ):
        report = conformance.check(function, "softmax", dtype)
        assert report.array == array
        assert not report.not_offered
        assert 0.5 < report.worst < 200 or dtype == "bfloat16"
        assert report.thresholds.logit is None


def test_a_format_that_is_not_offered_is_said_to_be_so():
    def only_float32(x, axis):
        if x.dtype != np.float32:
            raise TypeError(f"no kernel for {x.dtype}")
        return sr.softmax(x, axis)

    report = conformance.check(only_float32, "softmax", "float16")
    assert report.not_offered == "raised TypeError: no kernel for float16"
    assert report.failures == ("float16 is not offered: raised TypeError: no kernel for float16",)
    assert "not offered" in str(report)
    assert np.isnan(report.worst)
    with pytest.raises(AssertionError, match="float16 is not offered"):
        report.require()
    assert conformance.check(only_float32, "softmax", "float32").ok
    fp8 = conformance.check(torch.softmax, "softmax", "float8_e5m2")
    assert fp8.not_offered


def test_the_same_seed_gives_the_same_report():
    reports = [conformance.check(special.softmax, dtype="float16", seed=s) for s in (3, 3, 4)]
    assert str(reports[0]) == str(reports[1])
    assert str(reports[0]) != str(reports[2])


def test_require_returns_the_report_or_says_what_is_wrong():
    report = conformance.check(sr.softmax, dtype="float32", max_ulp=1000)
    assert report.require() is report
    strict = conformance.check(sr.softmax, dtype="float32", max_ulp=1)
    with pytest.raises(AssertionError) as caught:
        strict.require()
    sentences = str(caught.value)
    assert sentences.startswith("softmax_ref.stable:softmax falls short as softmax in float32:")
    assert "and 1 allowed" in sentences
    assert "expected" in sentences
    assert "0x" in sentences


def test_without_a_limit_only_the_edges_count():
    report = conformance.check(sr.softmax, dtype="float32")
    assert report.ok
    assert report.worst > 0.5
    assert report.counterexamples  # shown all the same


def test_json_is_json_and_says_the_same():
    report = conformance.check(textbook.softmax, dtype="float16", max_ulp=2)
    plain = json.loads(json.dumps(report.as_json(), allow_nan=False))
    assert plain["ok"] is False
    assert plain["worst"] == "inf"
    assert plain["failures"] == list(report.failures)
    assert [edge["name"] for edge in plain["edges"] if not edge["right"]] == [
        edge.name for edge in report.edges_wrong
    ]
    assert plain["counterexamples"][0]["got"] == "nan"
    assert len(json.dumps(plain)) < 100_000


@pytest.mark.parametrize(
    ("given", "error", "sentence"),
    [
        ({"op": "softmin"}, ValueError, "op must be one of softmax, log_softmax, logsumexp; got"),
        ({"dtype": "float61"}, ValueError, "unknown format 'float61'; .*nearest is 'float64'"),
        ({"array": "jax"}, ValueError, "array must be numpy or torch; got 'jax'"),
        ({"max_ulp": -1}, ValueError, "max_ulp must be a number of at least 0; got -1"),
        ({"max_ulp": np.nan}, ValueError, "got nan"),
        ({"function": 3}, TypeError, "function must be callable; got a value of type int"),
        ({"function": lambda x: x}, TypeError, "neither axis= nor dim=: it raised TypeError"),
    ],
)
def test_bad_arguments(given, error, sentence):
    with pytest.raises(error, match=sentence):
        conformance.check(**{"function": sr.softmax, **given})


def test_a_target_is_found_by_its_path():
    assert find("numpy:random.default_rng") is np.random.default_rng
    assert adapt(find("torch:logsumexp")).axis_name in ("axis", "dim")
    assert adapt(lambda x, dim: sr.softmax(x, dim)).axis_name == "dim"


@pytest.mark.parametrize("dtype", FORMATS)
def test_the_families_are_judged_by_true_values(dtype):
    """Errors of a rough answer, against mpmath."""
    fmt = FORMATS[dtype]
    rng = np.random.default_rng(1)
    for op in conformance.OPERATIONS:
        short = [s for s in samples(op, dtype, 0) if s.x.shape[1] == 3]
        for sample in short:
            row = sample.x[rng.integers(len(sample.x))]
            ours = truth(op, row)
            for i, value in enumerate(oracle.truth(op, row)):
                got = float(fmt.round(1.25 * float(ours.nearest.flat[i])))
                off = errors(np.full(ours.nearest.shape, got), ours, fmt).flat[i]
                by_oracle = oracle.distance(got, value, fmt)
                if np.isfinite(got) and ours.nearest.flat[i] and abs(value) < fmt.max:
                    assert off == pytest.approx(by_oracle, rel=1e-6, abs=0.6 if off < 1 else 0)


def test_thresholds_of_the_textbook_formulas_are_those_of_exp():
    for dtype in ("float64", "float32", "float16"):
        fmt = FORMATS[dtype]
        last, first_inf = fmt.exp_overflow()
        found = thresholds(adapt(textbook.logsumexp), "logsumexp", fmt)
        # two equal terms: their sum overflows log 2 earlier
        assert last - 0.75 < found.logit < first_inf
        assert found.logit == pytest.approx(np.log(fmt.max / 2), abs=2 * fmt.ulp(last))
        # from there on half of the smallest number rounds to 0, and its logarithm is −inf
        assert found.negative_logit == pytest.approx(fmt.exp_underflow()[1], abs=0.5)


def test_thresholds_of_a_careful_function_have_no_limit():
    for op in conformance.OPERATIONS:
        report = conformance.check(getattr(exact, op), op, "float16")
        assert set(vars(report.thresholds).values()) == {None}


def test_a_flushed_subnormal_shows_as_a_gap():
    def flushed(x, axis):
        p = sr.softmax(x, axis)
        return np.where(p < np.finfo(x.dtype).smallest_normal, x.dtype.type(0), p)

    fmt = FORMATS["float32"]
    found = thresholds(adapt(flushed), "softmax", fmt)
    assert found.gap == pytest.approx(-np.log(fmt.smallest_normal), abs=1e-4)


def test_a_broken_function_works_nowhere():
    fmt = FORMATS["float32"]
    found = thresholds(adapt(lambda x, axis: x * np.nan), "softmax", fmt)
    assert all(np.isnan(value) for value in vars(found).values())
