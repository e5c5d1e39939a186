"""Every stage alone gives the same results, and certificates are true."""

from fractions import Fraction

import gmpy2
import mpmath
import numpy as np
import pytest

from softmax_ref import exact
from softmax_ref.exact import doubledouble, entries, extended, logarithms, multiprecision
from softmax_ref.exact.families import FAMILIES, draw
from softmax_ref.formats import FORMATS

FUNCTIONS = ("softmax", "log_softmax", "logsumexp")


def _rows(fmt, seed, n=6, count=4):
    rng = np.random.default_rng(seed)
    return np.stack([draw(f, rng, fmt, n) for f in FAMILIES for _ in range(count)])


def _all(x):
    return {name: getattr(exact, name)(x, certificate=True) for name in FUNCTIONS}


def _blind_first_stage(monkeypatch):
    """Widen every error of the first stage beyond use."""
    monkeypatch.setattr(extended, "ENTRY_ERROR", 0.5)
    monkeypatch.setattr(entries, "relative_error", lambda depth: 0.5)
    monkeypatch.setattr(entries, "exponential_error", lambda depth: 2.0**-74)
    monkeypatch.setattr(logarithms, "exponential_error", lambda depth: 0.5)


def _blind_second_stage(monkeypatch):
    monkeypatch.setattr(extended, "SUM_ERROR", 0.5)
    monkeypatch.setattr(doubledouble, "SUM_ERROR", 0.5)


@pytest.mark.parametrize("name", sorted(FORMATS))
@pytest.mark.parametrize("blind", [1, 2])
def test_later_stages_agree(name, blind, monkeypatch):
    """With the first stages made useless the later ones decide, and decide the same."""
    x = _rows(FORMATS[name], seed=blind, count=4 if blind == 1 else 1)
    expected = _all(x)
    _blind_first_stage(monkeypatch)
    if blind == 2:
        _blind_second_stage(monkeypatch)
    found = _all(x)
    for function in FUNCTIONS:
        np.testing.assert_array_equal(
            found[function][0].astype(float), expected[function][0].astype(float)
        )
        counts = found[function][1].counts()
        assert counts["double-double" if blind == 1 else "multiprecision"] > 0


def _boundary_between(lower, upper, fmt):
    """Whether some middle of two neighbouring numbers lies strictly between."""
    if isinstance(lower, float):
        lower = upper  # both overflow
    below, above = (multiprecision.nearest_exact(_mpf(e), fmt) for e in (lower, upper))
    return not (below == above or (below != below and above != above))


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_certificates_enclose_the_true_value(name):
    """700-digit values lie in the enclosures, narrow enough to decide normal results.

    Nine of ten, to be exact: where log(1 + T) is far below the last place of x − max, the value can
    be nearer to a boundary than the recorded ends, which are rounded outwards.
    """
    fmt = FORMATS[name]
    x = _rows(fmt, seed=7, count=2)
    for function, (found, certificate) in _all(x).items():
        undecided = 0
        for index in np.ndindex(found.shape):
            row = x[index[0]].astype(float).tolist()
            if np.isnan(certificate.anchor[index]):
                assert not np.isfinite(found[index].astype(float))
                continue
            lower, upper = certificate.enclosure(index)
            with mpmath.workdps(700):
                assert _mpf(lower) <= _value(function, row, index) <= _mpf(upper)
                normal = abs(found[index]) > 2.0**-1000
                undecided += normal and _boundary_between(lower, upper, fmt)
        assert undecided <= (found.size // 10 if function == "log_softmax" else 0)


def _mpf(value):
    if isinstance(value, float):
        return mpmath.mpf(value)
    return mpmath.mpf(value.numerator) / value.denominator


def _value(function, row, index):
    terms = [mpmath.exp(v) for v in row]
    if function == "logsumexp":
        return mpmath.log(mpmath.fsum(terms))
    log = mpmath.mpf(row[index[1]]) - mpmath.log(mpmath.fsum(terms))
    return log if function == "log_softmax" else mpmath.exp(log)


def test_counts_say_who_decided():
    """LSE near 0 needs the last stage; a row of equal entries needs none."""
    near_zero = np.full(2, -np.log(2))
    value, certificate = exact.logsumexp(near_zero, certificate=True)
    assert value == 2.3190468138462996e-17
    assert certificate.stages() == "multiprecision"
    _, certificate = exact.softmax(near_zero, certificate=True)
    assert certificate.counts()["exact case"] == 2


def test_mpmath_is_as_accurate_as_assumed():
    """exp and log1p of mpmath against MPFR: within 2^(4 − precision), at 60 and 400 bits."""
    rng = np.random.default_rng(0)
    arguments = np.concatenate([-rng.uniform(0, 800, 300), -(10.0 ** rng.uniform(-30, 0, 100))])
    for precision in (60, 400):
        for a in arguments.tolist():
            with mpmath.workprec(precision), gmpy2.context(precision=precision + 60):
                for mine, theirs in (
                    (mpmath.exp(a), gmpy2.exp(a)),
                    (mpmath.log1p(-a), gmpy2.log1p(-a)),
                ):
                    ratio = gmpy2.mpfr(gmpy2.mpq(*_ratio(mine))) / theirs - 1
                    assert abs(ratio) <= gmpy2.exp2(4 - precision)


def _ratio(x):
    sign, mantissa, exponent, _ = x._mpf_
    value = Fraction(int(mantissa)) * Fraction(2) ** exponent * (-1) ** sign
    return value.numerator, value.denominator


def test_a_useless_start_for_log1p_is_noticed(monkeypatch):
    """The start of Newton's step is checked: a wrong log1p leads to the last stage, not astray."""
    x = np.random.default_rng(1).normal(size=(20, 5))
    expected = exact.logsumexp(x)
    monkeypatch.setattr(np, "log1p", lambda t: t * 0.9)
    value, certificate = exact.logsumexp(x, certificate=True)
    assert value.tolist() == expected.tolist()
    assert certificate.counts()["multiprecision"] == 20


def test_the_last_stage_doubles_its_precision(monkeypatch):
    """Started with 12 bits, it still ends with the right bits."""
    rows = {name: _rows(fmt, seed=5, count=1) for name, fmt in FORMATS.items()}
    expected = {name: _all(x) for name, x in rows.items()}
    _blind_first_stage(monkeypatch)
    _blind_second_stage(monkeypatch)
    monkeypatch.setattr(multiprecision, "FIRST", 12)
    for name, x in rows.items():
        for function, (found, _) in _all(x).items():
            np.testing.assert_array_equal(
                found.astype(float), expected[name][function][0].astype(float)
            )


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_rounding_by_integers(name):
    """All middles of small neighbours, and what lies around the largest number."""
    fmt = FORMATS[name]
    wide = name == "float64"  # float64 cannot hold its own middles
    values = (2.0**-60 if wide else fmt.smallest_subnormal) * np.arange(0.5, 40, 0.5)
    steps = [] if wide else [-0.5, 0.25, 0.5, 0.75]
    edge = [fmt.max + step * fmt.ulp(fmt.max) for step in steps]
    vanishing = [] if wide else [fmt.smallest_subnormal / 64]
    assert multiprecision.nearest_exact(mpmath.mpf(0), fmt) == 0
    for value in [*values, *edge, *vanishing]:
        expected = float(np.asarray(fmt.round(value), float))
        for sign in (1, -1):
            found = multiprecision.nearest_exact(mpmath.mpf(sign * value), fmt)
            np.testing.assert_equal(found, sign * expected)


def test_the_second_stage_handles_what_it_should():
    """Differences that overflow, and ties beside a tiny sum, do not need the last stage."""
    largest = np.finfo(float).max
    middle = [512 - 2.0**-44, 2.0**-43 - 512]  # their difference is a rounding boundary
    for x in ([largest, -largest, 1.0], middle):
        value, certificate = exact.log_softmax(np.array(x), certificate=True)
        assert certificate.counts()["multiprecision"] == 0
    assert value[1] == -1024 + 2.0**-43


def test_the_last_stage_beyond_the_largest_number():
    """The enclosure of a value that overflows is anchored at the largest finite number."""
    largest = np.finfo(float).max
    row = multiprecision.Row(np.array([largest, -largest]))
    found = multiprecision.log_softmax_entry(row, -largest, FORMATS["float64"])
    anchor, low, high = found.offsets()
    assert (found.value, anchor) == (-np.inf, -largest)
    assert low <= -largest <= high
