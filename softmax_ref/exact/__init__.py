"""Correctly rounded softmax, log_softmax and logsumexp, with certificates.

Each returned entry is the number of the input's format nearest to the true value, ties to even.
Three stages, each with a proved error bound and a rounding test, decide it: working precision,
double-double, and mpmath with doubling precision. The proofs stand in the book's chapter on
correct rounding.
"""

from .certificates import Certificate
from .functions import log_softmax, logsumexp, softmax
from .rows import STAGES

__all__ = ["STAGES", "Certificate", "log_softmax", "logsumexp", "softmax"]
