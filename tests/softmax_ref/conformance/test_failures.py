"""Failures of libraries: each is there in the version of the record, or the record is told."""

from dataclasses import replace

import pytest

from softmax_ref import conformance
from softmax_ref.conformance.failures import FAILURES, _verdict
from softmax_ref.conformance.libraries import version_of


@pytest.mark.parametrize("failure", FAILURES, ids=[one.id for one in FAILURES])
def test_the_record_is_true_of_what_is_installed(failure):
    verdict = _verdict(failure)
    if verdict.verdict == "not installed":
        pytest.skip(f"{failure.library} is not installed")
    assert not verdict.news, verdict.news
    if verdict.version.partition("+")[0] == failure.seen_in:
        assert verdict.verdict == "still so"


def test_the_pinned_libraries_are_those_of_the_record():
    """At least these are looked at above, in the very version in which the failure was seen."""
    looked_at = {
        one.library
        for one in FAILURES
        if (version_of(one.library) or "").partition("+")[0] == one.seen_in
    }
    assert {"scipy", "torch", "onnx", "ml_dtypes"} <= looked_at


def test_a_mended_failure_is_news_until_the_record_knows_it():
    (one,) = [f for f in FAILURES if f.id == "uint8-softmax-scipy"]
    mended = replace(one, fails=lambda: False)
    version = version_of("scipy")
    assert _verdict(mended).verdict == "mended"
    assert _verdict(mended).news == (
        f"scipy {version} mends uint8-softmax-scipy: set its mended_in to '{version}', and correct "
        "what the book says about it."
    )
    assert _verdict(replace(mended, mended_in="1.18.0")).news == ""
    assert "says was mended in 1.18.0" in _verdict(replace(one, mended_in="1.18.0")).news


def test_a_library_that_is_not_installed_is_not_run():
    def never():
        raise RuntimeError

    absent = replace(FAILURES[0], library="no-such-library", fails=never)
    assert _verdict(absent).verdict == "not installed"
    assert str(_verdict(absent)) == f"{absent.id}: not installed"


def test_ids_are_unique_and_one_library_can_be_chosen():
    assert len({one.id for one in FAILURES}) == len(FAILURES)
    chosen = conformance.live_failures("ml_dtypes")
    assert {one.failure.library for one in chosen} == {"ml_dtypes"}
