"""Softmax, log-softmax, log-sum-exp and cross-entropy, right at every edge."""

from ._blocks import get_num_threads, set_num_threads
from .derivatives import (
    jacobian,
    log_softmax_jacobian,
    log_softmax_jvp,
    log_softmax_vjp,
    logsumexp_hessian,
    logsumexp_jvp,
    logsumexp_vjp,
    softmax_jvp,
    softmax_vjp,
)
from .logistic import log_sigmoid, sigmoid, softplus
from .losses import (
    binary_cross_entropy,
    cross_entropy,
    cross_entropy_gradient,
    cross_entropy_hvp,
    entropy,
    kl_divergence,
    nll_loss,
)
from .sampling import gumbel_max, gumbel_softmax
from .stable import log_softmax, logsumexp, softmax, softmin
from .streaming import RunningLogSumExp

__all__ = [
    "RunningLogSumExp",
    "binary_cross_entropy",
    "cross_entropy",
    "cross_entropy_gradient",
    "cross_entropy_hvp",
    "entropy",
    "get_num_threads",
    "gumbel_max",
    "gumbel_softmax",
    "jacobian",
    "kl_divergence",
    "log_sigmoid",
    "log_softmax",
    "log_softmax_jacobian",
    "log_softmax_jvp",
    "log_softmax_vjp",
    "logsumexp",
    "logsumexp_hessian",
    "logsumexp_jvp",
    "logsumexp_vjp",
    "nll_loss",
    "set_num_threads",
    "sigmoid",
    "softmax",
    "softmax_jvp",
    "softmax_vjp",
    "softmin",
    "softplus",
]
