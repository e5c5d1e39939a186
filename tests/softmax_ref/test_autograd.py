"""PyTorch's autograd: finite differences once and twice, forward mode, vmap, closed forms."""

import pytest
import torch

import softmax_ref as sr

# PyTorch's own tables for forward mode are built with a call that PyTorch deprecates.
pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated"),
    pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled"),
]

INF = float("inf")
SOFT = torch.tensor([[0.2, 0.8, 0.0, 0.0], [0.0, 0.25, 0.25, 0.5], [1.0, 0.0, 0.0, 0.0]]).double()
HARD = torch.tensor([2, 0, 3])
WEIGHT = torch.tensor([0.5, 2.0, 1.0, 3.0]).double()
MASK = torch.tensor([[True, True, False, True], [False] * 4, [True, False, False, False]])
SIGNED = torch.tensor([1.0, -0.5, 0.0, 2.0]).double()


def generator():
    return torch.Generator().manual_seed(1)


def gumbel(x):
    return sr.gumbel_softmax(x, generator(), temperature=0.7)


FUNCTIONS = {
    "softmax": sr.softmax,
    "softmax, tempered": lambda x: sr.softmax(x, temperature=0.3),
    "softmax, axis 0": lambda x: sr.softmax(x, axis=0),
    "softmax, all axes": lambda x: sr.softmax(x, axis=None),
    "softmax, masked": lambda x: sr.softmax(x, where=MASK),
    "softmin": sr.softmin,
    "log_softmax": sr.log_softmax,
    "log_softmax, tempered": lambda x: sr.log_softmax(x, temperature=3.0),
    "log_softmax, masked": lambda x: sr.log_softmax(x, where=MASK)[MASK],
    "logsumexp": sr.logsumexp,
    "logsumexp, masked": lambda x: sr.logsumexp(x, where=MASK)[[0, 2]],
    "logsumexp, weighted": lambda x: sr.logsumexp(x, b=WEIGHT),
    "logsumexp, signed": lambda x: sr.logsumexp(x, b=SIGNED, return_sign=True)[0],
    "sigmoid": sr.sigmoid,
    "log_sigmoid": sr.log_sigmoid,
    "softplus": sr.softplus,
    "cross_entropy": lambda x: sr.cross_entropy(x, HARD),
    "cross_entropy, weighted": lambda x: sr.cross_entropy(
        x, HARD, weight=WEIGHT, label_smoothing=0.1
    ),
    "cross_entropy, ignored": lambda x: sr.cross_entropy(x, HARD, ignore_index=0),
    "cross_entropy, soft": lambda x: sr.cross_entropy(x, SOFT, weight=WEIGHT, reduction="sum"),
    "cross_entropy, axis 0": lambda x: sr.cross_entropy(x, HARD[[0, 1, 1, 0]], axis=0),
    "cross_entropy_gradient": lambda x: sr.cross_entropy_gradient(x, HARD),
    "cross_entropy_gradient, soft": lambda x: sr.cross_entropy_gradient(x, SOFT),
    "cross_entropy_hvp": lambda x: sr.cross_entropy_hvp(x, HARD, SOFT),
    "binary_cross_entropy": lambda x: sr.binary_cross_entropy(x, SOFT),
    "entropy": lambda x: sr.entropy(sr.softmax(x)),
    "kl_divergence": lambda x: sr.kl_divergence(sr.softmax(x), sr.softmax(x.flip(-1))),
    "jacobian": sr.jacobian,
    "log_softmax_jacobian": sr.log_softmax_jacobian,
    "logsumexp_hessian": sr.logsumexp_hessian,
    "softmax_jvp": lambda x: sr.softmax_jvp(x, SOFT),
    "softmax_vjp, both": lambda x: sr.softmax_vjp(x, x.exp()),
    "log_softmax_jvp": lambda x: sr.log_softmax_jvp(x, SOFT),
    "log_softmax_vjp, both": lambda x: sr.log_softmax_vjp(x, x.exp()),
    "logsumexp_jvp": lambda x: sr.logsumexp_jvp(x, SOFT),
    "logsumexp_vjp": lambda x: sr.logsumexp_vjp(x, SOFT[:, 1]),
    "gumbel_softmax": gumbel,
}


def logits():
    x = torch.randn(3, 4, dtype=torch.float64, generator=generator())
    x[0, 0] = x[0, 1] = x[0].max()  # two largest entries
    x[2, 2] = 0.0  # where |x| has a corner
    return x


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_finite_differences_agree_with_autograd_once_and_twice(function):
    # gradcheck's own tolerances: a step of 1e-6 leaves errors of about 1e-9 in float64.
    x = logits().requires_grad_()
    assert torch.autograd.gradcheck(function, x, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(function, x)


SUMS_WEIGHTED = {
    "positive": torch.tensor([0.5, 2.0, 1.0, 3.0]),
    "of both signs": torch.tensor([1.0, -0.5, 0.25, 2.0]),
    "some of them 0": torch.tensor([1.0, 0.0, 0.0, -2.0]),
    "for each row": torch.tensor([[-1.0, -2.0, 0.0, 0.1], [1, 0, 2, 3], [0.5, 1, -1, 1]]),
}


@pytest.mark.parametrize("weights", SUMS_WEIGHTED.values(), ids=SUMS_WEIGHTED)
@pytest.mark.parametrize("mask", [None, MASK | MASK[:1]], ids=["all", "masked"])
def test_the_weights_of_logsumexp_have_derivatives(weights, mask):
    """With the logits', mixed second ones and those at weight 0 included."""

    def weighted(x, b):
        return sr.logsumexp(x, b=b, where=mask, return_sign=True)[0]

    arguments = logits().requires_grad_(), weights.double().requires_grad_()
    assert torch.autograd.gradcheck(weighted, arguments, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(weighted, arguments)


def test_the_weights_of_logsumexp_at_the_edges():
    x = torch.tensor([[1.0, INF, -INF, 2.0], [1.0, float("nan"), 3.0, -INF], [-INF] * 4]).double()
    b = torch.tensor([1.0, 0.0, 2.0, 3.0]).double().requires_grad_()
    y = sr.logsumexp(x, b=b)
    torch.testing.assert_close(y, sr.logsumexp(x, b=b.detach()), rtol=0, atol=0)
    (g,) = torch.autograd.grad(y.sum(), b)  # Σ exp(x − y) over the finite
    expected = torch.tensor([[1.0, -INF, -INF, 2.0], [1.0, -INF, 3.0, -INF]]).double()
    torch.testing.assert_close(g, torch.exp(expected - y[:2, None]).sum(0).detach())
    sums_to_0 = torch.tensor([1.0, -1.0], requires_grad=True)
    y, sign = sr.logsumexp(torch.zeros(2), b=sums_to_0, return_sign=True)
    assert (y, sign) == (-INF, 0)
    assert torch.autograd.grad(y, sums_to_0)[0].tolist() == [0, 0]
    tiny = torch.tensor([1e-40], requires_grad=True)  # the derivative is too large for float32
    (g,) = torch.autograd.grad(sr.logsumexp(torch.zeros(1), b=tiny), tiny)
    assert 1e38 < g < INF


WITH_INFINITE = {
    "softmax": sr.softmax,
    "log_softmax": lambda x: sr.log_softmax(x)[:, 1:3],
    "logsumexp": sr.logsumexp,
    "cross_entropy": lambda x: sr.cross_entropy(x, HARD.new_tensor([1, 2, 1])),
    "cross_entropy, soft": lambda x: sr.cross_entropy(
        x, SOFT.new_tensor([0.0, 0.25, 0.75, 0.0]).expand(3, 4)
    ),
    "softmax_vjp": lambda x: sr.softmax_vjp(x, SOFT),
    "jacobian": sr.jacobian,
    "sigmoid": sr.sigmoid,
    "softplus": sr.softplus,
    "masked": lambda x: sr.softmax(x, where=MASK.flip(-1) | MASK[:1]),
}


@pytest.mark.parametrize("function", WITH_INFINITE.values(), ids=WITH_INFINITE)
def test_logits_of_minus_infinity_are_constants(function):
    infinite = torch.tensor([True, False, False, True])

    def of_the_finite(x):
        return function(x.masked_fill(infinite, -INF))

    x = logits().requires_grad_()
    assert torch.autograd.gradcheck(of_the_finite, x, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(of_the_finite, x)
    (g,) = torch.autograd.grad(of_the_finite(x).sum(), x)
    assert (g[:, infinite] == 0).all()


@pytest.mark.parametrize("function", [sr.softmax, sr.log_softmax, sr.logsumexp])
def test_what_a_mask_hides_has_gradient_0_even_if_it_is_nan(function):
    x = torch.tensor([[1.0, float("nan"), 2.0], [INF, 3.0, -INF]], requires_grad=True)
    mask = torch.tensor([[True, False, True], [False] * 3])
    with torch.autograd.detect_anomaly(check_nan=True):  # no nan on the way back, either
        y = function(x, where=mask)
        (g,) = torch.autograd.grad(y[torch.isfinite(y)].sum(), x)
    assert (g[~mask] == 0).all()
    assert torch.isfinite(g).all()


def test_a_row_that_is_ignored_has_gradient_0_even_if_it_is_nan():
    x = torch.tensor([[1.0, 2.0], [float("nan"), INF]], requires_grad=True)
    loss = sr.cross_entropy(x, torch.tensor([0, -100]))
    (g,) = torch.autograd.grad(loss, x)
    assert (g[1] == 0).all()
    torch.testing.assert_close(g, sr.cross_entropy_gradient(x, torch.tensor([0, -100])))


@pytest.mark.parametrize(
    ("function", "vjp"),
    [
        (sr.softmax, sr.softmax_vjp),
        (sr.log_softmax, sr.log_softmax_vjp),
        (sr.logsumexp, sr.logsumexp_vjp),
    ],
)
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_closed_forms_equal_autograd_of_pytorchs_own_functions(function, vjp, axis):
    x = logits().requires_grad_()
    y = function(x, axis)
    g = torch.randn(y.shape, dtype=torch.float64, generator=generator())
    own = getattr(torch, function.__name__)(x, axis)
    (expected,) = torch.autograd.grad(own, x, g)
    # 1e-15: a few roundings of numbers below 4 in different orders.
    torch.testing.assert_close(vjp(x, g, axis=axis), expected, rtol=1e-14, atol=2e-15)
    (through_ours,) = torch.autograd.grad(y, x, g)
    torch.testing.assert_close(through_ours, vjp(x, g, axis=axis), rtol=1e-14, atol=2e-15)


@pytest.mark.parametrize("target", [HARD, SOFT], ids=["hard", "soft"])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_gradient_and_the_hessian_equal_those_of_autograd(target, reduction, smoothing):
    given = dict(weight=WEIGHT, reduction=reduction, label_smoothing=smoothing)
    x = logits().requires_grad_()
    own = torch.nn.functional.cross_entropy(x, target, **given)
    (g,) = torch.autograd.grad(own, x, create_graph=True)
    v = torch.randn(3, 4, dtype=torch.float64, generator=generator())
    (h,) = torch.autograd.grad((g * v).sum(), x)
    gradient = sr.cross_entropy_gradient(x, target, **given)
    torch.testing.assert_close(gradient, g, rtol=1e-13, atol=1e-15)
    product = sr.cross_entropy_hvp(x, target, v, **given)
    torch.testing.assert_close(product, h, rtol=1e-13, atol=1e-15)


def test_transforms_of_torch_func():
    x = logits()
    for function in (sr.softmax, sr.log_softmax, sr.logsumexp, sr.sigmoid):
        torch.testing.assert_close(torch.func.vmap(function)(x), function(x), rtol=0, atol=0)
        torch.testing.assert_close(torch.func.vmap(function, in_dims=1)(x), function(x.T))
    J = torch.func.vmap(torch.func.jacrev(sr.softmax))(x)
    torch.testing.assert_close(J, sr.jacobian(x))
    H = torch.func.hessian(sr.logsumexp)(x[0])
    torch.testing.assert_close(H, sr.logsumexp_hessian(x[0]))
    _, tangent = torch.func.jvp(sr.log_softmax, (x,), (SOFT,))
    torch.testing.assert_close(tangent, sr.log_softmax_jvp(x, SOFT))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_gradients_have_the_format_of_the_logits(dtype):
    x = logits().to(dtype).requires_grad_()
    sr.cross_entropy(x, HARD).backward()
    assert x.grad.dtype == dtype
    expected = sr.cross_entropy_gradient(x.detach().double(), HARD)
    assert (x.grad.double() - expected).abs().max() <= torch.finfo(dtype).eps


def test_a_confident_float32_gradient_under_autograd():
    x = torch.tensor([[20.0, 0.0]], requires_grad=True)
    sr.cross_entropy(x, torch.tensor([0])).backward()
    torch.testing.assert_close(
        x.grad, torch.tensor([[-2.0611537e-09, 2.0611537e-09]]), rtol=3e-7, atol=0
    )


def test_tensors_that_are_not_contiguous_are_left_as_they_were():
    x = torch.randn(6, 4, dtype=torch.float64, generator=generator())[::2].T
    before = x.clone()
    for function in (sr.softmax, sr.log_softmax, sr.logsumexp, sr.sigmoid):
        torch.testing.assert_close(function(x), function(x.contiguous()), rtol=0, atol=0)
    assert torch.equal(x, before)
