"""Softmax, log-softmax, log-sum-exp and cross-entropy, right at every edge.

Each docstring bounds the error, the distance of every entry of the result from the exact value, for
NumPy arrays and for PyTorch tensors. In these bounds

- ulp is the spacing of the result's format at the exact value;
- u is the unit roundoff of the format in which the work is done: 2^−53 for float64, 2^−24 for
  float32, float16 and bfloat16;
- d is how far the entry's logit lies below the largest of its row, over the temperature. For the
  largest entry, and for a result with one number a row, it is the mean of the others' distances,
  weighted by their exponentials;
- p are the probabilities; a bound with u holds where none of them underflows in the format of the
  work, and all where nothing else overflows or underflows on the way.

The bounds were searched for on eleven families of logits, up to rows of 100,000 for softmax,
log_softmax and logsumexp, and of 3000 for the others; they leave a factor of at least 1.5 to the
largest error found, the final rounding of float16 and bfloat16 apart. The tests measure again.
"""

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
