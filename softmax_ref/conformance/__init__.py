"""Is my softmax right? Hold any softmax, log_softmax or logsumexp against the truth.

In a test::

    from softmax_ref import conformance

    def test_my_softmax():
        conformance.check(my_softmax, op="softmax", dtype="float32", max_ulp=4).require()

On the command line::

    python -m softmax_ref.conformance check scipy.special:softmax --op softmax --dtype float32

The truth is :mod:`softmax_ref.exact`, correctly rounded; the edges are :data:`EDGES`.
"""

from .checker import Counterexample, FamilyResult, Report, check
from .edges import EDGES, EdgeResult
from .failures import FAILURES, Failure, Verdict, live_failures
from .libraries import LIBRARIES, Library, Row, report
from .thresholds import Thresholds
from .truth import OPERATIONS

__all__ = [
    "EDGES",
    "FAILURES",
    "LIBRARIES",
    "OPERATIONS",
    "Counterexample",
    "EdgeResult",
    "Failure",
    "FamilyResult",
    "Library",
    "Report",
    "Row",
    "Thresholds",
    "Verdict",
    "check",
    "live_failures",
    "report",
]
