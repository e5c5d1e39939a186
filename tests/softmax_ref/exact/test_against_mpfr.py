"""The exact functions against MPFR: a part of ``python -m softmax_ref.exact.evidence``."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softmax_ref import exact
from softmax_ref.exact import evidence, truth
from softmax_ref.formats import FORMATS


def test_random_and_adversarial_families():
    """A sample of every family, format and short length: no entry differs from MPFR's."""
    sizes = {1: 1, 2: 12, 3: 6, 7: 5, 40: 1, 200: 1}
    rounds = itertools.islice(evidence.batches(2026, sizes), 6 * 12 * len(sizes))
    tally = evidence.collect(rounds)
    assert tally.wrong == []
    assert len(tally.families) == 12
    assert {fmt for fmt, _ in tally.entries} == set(FORMATS)


def test_hard_to_round_pairs():
    """Pairs chosen for lying near a rounding boundary, in every format."""
    tally = evidence.collect(evidence.hard_pairs(seed=1, count=3000, keep=20))
    assert tally.wrong == []
    assert tally.total() == 6 * 3 * 20 * 5


@pytest.mark.parametrize("name", ["float8_e4m3fn", "float8_e5m2"])
def test_pairs_of_the_8_bit_formats(name):
    """Every 25th first number with all second ones (the script takes all)."""
    assert evidence.collect(itertools.islice(evidence.all_pairs(name), 0, None, 25)).wrong == []


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_differences_of_the_16_bit_formats(name):
    """[0, −d] for every 97th d (the script takes all)."""
    assert evidence.collect(evidence.all_differences(name, step=97)).wrong == []


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(sorted(FORMATS)),
    st.lists(
        st.one_of(st.floats(-800, 800), st.floats(allow_nan=False, allow_infinity=False)),
        min_size=1,
        max_size=6,
    ),
)
def test_whatever_hypothesis_finds(name, x):
    """Any short list of finite numbers."""
    fmt = FORMATS[name]
    x = np.asarray(fmt.round(np.clip(x, -fmt.max, fmt.max)))
    tally = evidence.Tally()
    tally.compare(x[None], fmt, "hypothesis")
    assert tally.wrong == []


@pytest.mark.parametrize(("name", "n"), [("float64", 70_000), ("float32", 70_000)])
def test_rows_longer_than_a_block(name, n):
    """A row of several blocks with a tail, on 200 of its entries and its log-sum-exp."""
    fmt = FORMATS[name]
    rng = np.random.default_rng(3)
    x = rng.normal(scale=3, size=n).astype(fmt.dtype)
    index = rng.integers(0, n, 200).tolist()
    oracle = truth.Truth(x.astype(np.float64), fmt)
    assert exact.softmax(x)[index].tolist() == oracle.softmax(index).tolist()
    assert exact.log_softmax(x)[index].tolist() == oracle.log_softmax(index).tolist()
    assert float(exact.logsumexp(x)) == oracle.logsumexp()


def _rounded_twice(x, softmax=exact.softmax, **options):
    """Softmax that goes through a format of 14 bits on its way to float16."""
    p, certificate = softmax(x.astype(np.float32), **options)
    bits = p.view(np.uint32)
    middle = ((bits + (1 << 9)) >> 10 << 10).view(np.float32)
    return (middle if x.dtype == np.float16 else p).astype(x.dtype), certificate


def test_an_intermediate_rounding_is_caught(monkeypatch):
    """The comparison is sharp enough to see a result that was rounded twice."""
    monkeypatch.setattr(exact, "softmax", _rounded_twice)
    tally = evidence.collect(evidence.all_differences("float16", step=7))
    assert tally.wrong
    assert all(line.startswith("softmax, float16") for line in tally.wrong)


def test_the_script_reports_and_exits(capsys, monkeypatch):
    """Status 0 and the counts; status 1 and the input when something is wrong."""
    assert evidence.main(["--entries", "3000", "--seed", "4"]) == 0
    assert " 0 wrong" in capsys.readouterr().out
    monkeypatch.setattr(exact, "softmax", _rounded_twice)
    monkeypatch.setattr(evidence, "FORMATS", {"float16": FORMATS["float16"]})
    assert evidence.main(["--entries", "9000"]) == 1
    assert "instead of" in capsys.readouterr().out
