"""Softmax, log-softmax, log-sum-exp and cross-entropy, right at every edge."""

from ._blocks import get_num_threads, set_num_threads
from .derivatives import jacobian, softmax_jvp, softmax_vjp
from .losses import cross_entropy, cross_entropy_gradient, cross_entropy_hvp
from .stable import log_softmax, logsumexp, softmax

__all__ = [
    "cross_entropy",
    "cross_entropy_gradient",
    "cross_entropy_hvp",
    "get_num_threads",
    "jacobian",
    "log_softmax",
    "logsumexp",
    "set_num_threads",
    "softmax",
    "softmax_jvp",
    "softmax_vjp",
]
