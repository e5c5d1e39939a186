"""The golden vectors: the same when made again, and what the exact functions return."""

import numpy as np
import pytest

from softmax_ref import exact
from softmax_ref.exact import golden
from softmax_ref.formats import FORMATS


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_made_again_they_are_the_same(name):
    """Byte for byte."""
    stored = (golden.FOLDER / f"{name}.tsv").read_bytes()
    assert golden.text(FORMATS[name]).encode() == stored


def test_they_are_small():
    """Less than 2 MB together."""
    assert sum(path.stat().st_size for path in golden.FOLDER.iterdir()) < 2_000_000


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_exact_functions_return_them(name):
    """Every bit, the sign of zero included; nan stands for any nan."""
    families = set()
    for family, (x, *expected) in golden.read(FORMATS[name]):
        families.add(family.split(",")[0])
        for function, right in zip(
            (exact.softmax, exact.log_softmax, exact.logsumexp), expected, strict=True
        ):
            found = np.atleast_1d(function(x))
            bits = f"u{found.dtype.itemsize}"
            with np.errstate(invalid="ignore"):  # signalling nans
                nan = np.isnan(right.astype(float))
                assert (np.isnan(found.astype(float)) == nan).all()
            assert (found.view(bits)[~nan] == right.view(bits)[~nan]).all(), (family, x)
    assert len(families) == 9


def test_the_command_writes_all_files(tmp_path, monkeypatch):
    """One file for each format."""
    monkeypatch.setattr(golden, "text", lambda fmt: fmt.name)
    assert golden.main(["--folder", str(tmp_path / "new")]) == 0
    assert {path.stem for path in (tmp_path / "new").iterdir()} == set(FORMATS)
