"""The command lines: what they print, and the exit status that says whether all was right."""

import itertools

import numpy as np

from softmax_ref import exact
from softmax_ref.exact import cost, evidence
from softmax_ref.formats import FORMATS


def test_evidence_in_favour(capsys):
    """Nothing wrong: status 0, and a table with every format and function."""
    assert evidence.main(["--entries", "3000", "--seed", "3"]) == 0
    said = capsys.readouterr().out
    assert "entries, 0 wrong" in said
    for name in FORMATS:
        for function in evidence.FUNCTIONS:
            assert f"{name:<14} {function:<12}" in said


def test_evidence_against(capsys, monkeypatch):
    """An entry that is one unit off is shown with its input and both results: status 1."""
    right = exact.logsumexp

    def off(x, **arguments):
        value, certificate = right(x, **arguments)
        return np.nextafter(value, value.dtype.type(np.inf)), certificate

    monkeypatch.setattr(exact, "logsumexp", off)
    pair = ("planted", FORMATS["float64"], np.array([[0.0, 1.0]]))
    monkeypatch.setattr(evidence, "exhaustive", lambda: iter([pair]))
    assert evidence.main(["--exhaustive"]) == 1
    said = capsys.readouterr().out
    assert "5 entries, 1 wrong" in said
    (line,) = (line for line in said.splitlines() if line.startswith("logsumexp, float64, planted"))
    assert "instead of" in line
    assert "x = ['0x0.0p+0', '0x1.0000000000000p+0']" in line


def test_what_is_compared_completely():
    """All pairs of the 8-bit formats first, then the differences of the 16-bit ones."""
    names = [(family, fmt.name, x.shape) for family, fmt, x in evidence.exhaustive()]
    pairs = [shape for family, _, shape in names if family == "all pairs"]
    assert pairs == [(254, 2)] * 254 + [(248, 2)] * 248
    rest = {}
    for family, fmt, shape in names[len(pairs) :]:
        assert family == "[0, −d] for all d"
        rest[fmt] = rest.get(fmt, 0) + shape[0]
    assert rest == {"float16": 31 * 2**10, "bfloat16": 255 * 2**7}


def test_long_rows_come_between_the_rounds():
    """One of 20,000 entries after each round of short rows; after the first, longer ones too."""
    lengths = (x.shape[1] for _, _, x in evidence.batches(0, sizes={2: 1}))
    short = len(FORMATS) * 12
    found = list(itertools.islice(lengths, 2 * short + 4))
    assert found == [2] * short + [20_000, 100_000, 1_000_000] + [2] * short + [20_000]


def test_cost(capsys, monkeypatch):
    """One line for each format and shape, and two for mpmath."""
    monkeypatch.setattr(cost, "SHAPES", ((8, 10), (2, 30)))
    assert cost.main(["--repeats", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum("× SciPy" in line for line in lines) == 8
    assert [line.split(":")[0] for line in lines if line.startswith("mpmath")] == [
        "mpmath, thirty_digits",
        "mpmath, last_stage",
    ]
