"""What the bounds in the docstrings are held against: errors, and the quantities bounds name.

For each function a case draws arguments, computes, and gives the exact result. That comes from
softmax_ref.exact, with its certificates, for softmax, log_softmax and logsumexp, in rows of up to
100,000 logits; for all others from the definition in MPFR, with so many bits that no cancellation
matters, in rows of up to 100.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import gmpy2
import numpy as np
import torch

import softmax_ref as sr
from benchmarks.accuracy import families
from softmax_ref import exact, streaming
from softmax_ref._arrays import WORKING_FORMAT
from softmax_ref.formats import FORMATS, Format

NAMES = ("float64", "float32", "float16", "bfloat16")
BITS = {"float64": 1200, "float32": 400, "float16": 400, "bfloat16": 400}

exp = np.frompyfunc(gmpy2.exp, 1, 1)
log = np.frompyfunc(gmpy2.log, 1, 1)
log1p = np.frompyfunc(gmpy2.log1p, 1, 1)
exact_number = np.frompyfunc(lambda v: gmpy2.mpfr(float(v)), 1, 1)


@dataclass
class Measured:
    """Results of one call, and what the bound is made of, entry by entry."""

    error: np.ndarray
    ulp: np.ndarray
    names: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Draw:
    """Arguments of one call."""

    f: Format
    kind: str  #: "numpy" or "torch"
    rng: np.random.Generator
    x: np.ndarray  #: logits, float64 values that the format has
    family: str

    def given(self, values: Any) -> Any:
        """Values of the format as the array that the function gets."""
        if self.kind == "numpy":
            return np.asarray(values).astype(self.f.dtype)
        return torch.tensor(np.asarray(values)).to(getattr(torch, self.f.name))

    def normal(self, scale: float = 1.0) -> np.ndarray:
        """Numbers of the format, as many as there are logits."""
        return self.f._round(self.rng.normal(scale=scale, size=self.x.size))

    def probabilities(self) -> np.ndarray:
        """Of the logits, rounded to the format."""
        with np.errstate(all="ignore"):
            return np.asarray(sr.softmax(self.x.astype(self.f.dtype))).astype(np.float64)


def wide(y: Any) -> np.ndarray:
    """A result as float64, in one dimension."""
    y = y.double().numpy() if torch.is_tensor(y) else np.asarray(y).astype(np.float64)
    return np.atleast_1d(y).ravel()


def compared(draw: Draw, y: Any, truth: Any, **names: Any) -> Measured:
    """The result against numbers of MPFR; entries beyond the format's largest are left out."""
    y, truth = wide(y), np.atleast_1d(np.asarray(truth, dtype=object)).ravel()
    near = truth.astype(np.float64)
    use = np.abs(near) <= draw.f.max
    finite = np.isfinite(y)
    error = np.full(y.shape, np.inf)
    error[finite] = np.abs(exact_number(y[finite]) - truth[finite]).astype(np.float64)
    for name, value in names.items():
        value = np.asarray(value, dtype=object).astype(np.float64).ravel()
        names[name] = value[use] if value.size == use.size else value
    return Measured(error[use], draw.f.ulp(near)[use], names)


def certified(draw: Draw, name: str, y: Any, d: Any, **names: Any) -> Measured:
    """The result against the enclosures of softmax_ref.exact."""
    _, certificate = getattr(exact, name)(draw.x.astype(draw.f.dtype), certificate=True)
    anchor, y = np.atleast_1d(certificate.anchor), wide(y)
    middle = np.atleast_1d((certificate.low + certificate.high) / 2)
    use = np.abs(anchor) < draw.f.max  # what overflows is anchored at the largest number
    error = np.abs((y - anchor) - middle)[use]
    d = np.broadcast_to(d, anchor.shape)[use]
    return Measured(
        np.where(np.isnan(error), np.inf, error), draw.f.ulp(anchor)[use], {"d": d, **names}
    )


def distances(x: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """The d of the docstrings: of each logit from the largest; for that, the mean of the others."""
    k = int(np.argmax(x))
    with np.errstate(over="ignore", invalid="ignore"):
        d = np.minimum((x[k] - x) / temperature, 1e300)
    others = np.delete(d, k)
    weights = np.exp(-others + others.min()) if others.size else others
    d[k] = np.average(others, weights=weights) if others.size else 0.0
    return d


class Row:
    """Softmax of one row in MPFR."""

    def __init__(self, x: np.ndarray, temperature: float = 1.0) -> None:
        self.k = int(np.argmax(x))
        numbers = exact_number(x)
        self.d = (numbers - numbers[self.k]) / gmpy2.mpfr(temperature)
        e = exp(self.d)
        self.rest = np.sum(np.delete(e, self.k))
        self.p = e / (1 + self.rest)
        self.log = gmpy2.log1p(self.rest)
        self.log_p = self.d - self.log
        self.lse = numbers[self.k] / gmpy2.mpfr(temperature) + self.log

    def normal(self, f: Format) -> np.ndarray:
        """Where the probability is a normal number of the format of the work."""
        return self.p.astype(np.float64) >= FORMATS[WORKING_FORMAT[f.name]].smallest_normal


Case = Callable[[Draw], Measured]
CASES: dict[str, Case] = {}
#: Lengths of the rows, where they are not (2, 10, 100).
SIZES: dict[str, tuple[int, ...]] = {}


def case(name: str, sizes: tuple[int, ...] = (2, 10, 100)) -> Callable[[Case], Case]:
    def enter(measure: Case) -> Case:
        CASES[name], SIZES[name] = measure, sizes
        return measure

    return enter


@case("softmax", (2, 10, 1000, 100_000))
def _(draw: Draw) -> Measured:
    return certified(draw, "softmax", sr.softmax(draw.given(draw.x)), distances(draw.x))


@case("softmin")
def _(draw: Draw) -> Measured:
    T = draw.rng.choice([0.3, 2.5])  # softmax at another temperature, too
    y = sr.softmin(draw.given(-draw.x), temperature=T)
    T = _temperature(draw, T)
    return compared(draw, y, Row(draw.x, T).p, d=distances(draw.x, T))


def _temperature(draw: Draw, T: float) -> float:
    """As the format of the work has it: NumPy and PyTorch divide by that."""
    return float(np.dtype(WORKING_FORMAT[draw.f.name]).type(T))


@case("log_softmax", (2, 10, 1000, 100_000))
def _(draw: Draw) -> Measured:
    return certified(draw, "log_softmax", sr.log_softmax(draw.given(draw.x)), distances(draw.x))


@case("logsumexp", (2, 10, 1000, 100_000))
def _(draw: Draw) -> Measured:
    d = distances(draw.x)[np.argmax(draw.x)]
    with np.errstate(all="ignore"):
        L = np.log1p(np.sum(np.exp(np.delete(draw.x, np.argmax(draw.x)) - draw.x.max())))
    return certified(draw, "logsumexp", sr.logsumexp(draw.given(draw.x)), d, L=L)


@case("RunningLogSumExp")
def _(draw: Draw) -> Measured:
    x = np.clip(draw.x, -streaming.LARGEST, streaming.LARGEST)
    running = sr.RunningLogSumExp().update(draw.given(x[:1])).update(draw.given(x[1:]))
    return compared(_in_float64(draw), running.value(), Row(x).lse)


def _in_float64(draw: Draw) -> Draw:
    return Draw(FORMATS["float64"], draw.kind, draw.rng, draw.x, draw.family)


@case("softmax_in_chunks")
def _(draw: Draw) -> Measured:
    x = np.clip(draw.x, -streaming.LARGEST, streaming.LARGEST)
    chunks = [draw.given(x[:1]), draw.given(x[1:])]
    y = np.concatenate([wide(p) for p in streaming.softmax_in_chunks(chunks)])
    return compared(draw, y, Row(x).p)


@case("cross_entropy_in_chunks")
def _(draw: Draw) -> Measured:
    x = np.clip(draw.x, -streaming.LARGEST, streaming.LARGEST)
    t = int(draw.rng.choice([np.argmax(x), 0]))
    chunks = [draw.given(x[None, :1]), draw.given(x[None, 1:])]
    target = torch.tensor([t]) if draw.kind == "torch" else [t]
    y = streaming.cross_entropy_in_chunks(chunks, target)
    return compared(_in_float64(draw), y, -Row(x).log_p[t])


@case("sigmoid")
def _(draw: Draw) -> Measured:
    x = exact_number(draw.x)
    return compared(draw, sr.sigmoid(draw.given(draw.x)), 1 / (1 + exp(-x)))


@case("log_sigmoid")
def _(draw: Draw) -> Measured:
    x = exact_number(draw.x)
    return compared(draw, sr.log_sigmoid(draw.given(draw.x)), -_softplus(-x))


@case("softplus")
def _(draw: Draw) -> Measured:
    return compared(draw, sr.softplus(draw.given(draw.x)), _softplus(exact_number(draw.x)))


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, 0) + log1p(exp(-np.abs(x)))


@case("entropy")
def _(draw: Draw) -> Measured:
    p = draw.probabilities()
    q = exact_number(p[p > 0])
    return compared(draw, sr.entropy(draw.given(p)), np.sum(-q * log(q)))


@case("kl_divergence")
def _(draw: Draw) -> Measured:
    p = draw.probabilities()
    q = draw.f._round(p * (1 + draw.rng.choice([1e-3, 0.5]) * draw.rng.uniform(-1, 1, p.size)))
    p = np.where(q == 0, 0.0, p)
    y = sr.kl_divergence(draw.given(p), draw.given(q))
    a, b = exact_number(p[p > 0]), exact_number(q[p > 0])
    terms = a * log(a / b)
    return compared(draw, y, np.sum(terms), K=np.sum(np.abs(terms)))


def _class(draw: Draw) -> int:
    return int(draw.rng.choice([np.argmax(draw.x), draw.rng.integers(draw.x.size)]))


def _target(draw: Draw) -> tuple[Any, np.ndarray, dict[str, Any]]:
    """A target as class index or probabilities, the coefficients, and the other arguments."""
    n = draw.x.size
    if draw.rng.random() < 0.5:
        t = _class(draw)
        index = torch.tensor([t]) if draw.kind == "torch" else np.array([t])
        smoothing = float(draw.rng.choice([0.0, 0.125]))
        c = np.full(n, exact_number(smoothing) / n)
        c[t] += 1 - exact_number(smoothing)
        return index, c, dict(label_smoothing=smoothing)
    y = draw.f._round(draw.rng.dirichlet(np.ones(n)))
    return draw.given(y[None]), exact_number(y), {}


@case("cross_entropy")
def _(draw: Draw) -> Measured:
    target, c, others = _target(draw)
    y = sr.cross_entropy(draw.given(draw.x[None]), target, **others)
    d, log_p = distances(draw.x)[np.argmax(draw.x)], Row(draw.x).log_p
    largest = np.abs(log_p).max() <= draw.f.max  # or it overflows on the way
    truth = -np.sum(c * log_p) if largest else gmpy2.inf()
    return compared(draw, y, truth, d=d)


@case("nll_loss")
def _(draw: Draw) -> Measured:
    log_p = np.clip(draw.x, -draw.f.max / 8, draw.f.max / 8)
    log_p = draw.f._round(-np.abs(np.stack([log_p, log_p[::-1]])))
    t, weight = [_class(draw), 0], draw.f._round(draw.rng.uniform(0.5, 2, draw.x.size))
    target = torch.tensor(t) if draw.kind == "torch" else np.array(t)
    y = sr.nll_loss(draw.given(log_p), target, weight=draw.given(weight))
    w = exact_number(weight[t])
    return compared(draw, y, -np.sum(w * exact_number(log_p[[0, 1], t])) / np.sum(w))


@case("binary_cross_entropy")
def _(draw: Draw) -> Measured:
    t = draw.f._round(draw.rng.choice([0.0, 0.25, 1.0, 0.7], draw.x.size))
    y = sr.binary_cross_entropy(draw.given(draw.x), draw.given(t), reduction="none")
    x, s = exact_number(draw.x), exact_number(t)
    return compared(draw, y, s * _softplus(-x) + (1 - s) * _softplus(x))


def _gradient_parts(row: Row, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """g − p Σ g, and G: |g| + p Σ |g|; for the largest entry the sums over the others."""
    G = np.abs(g) + row.p * np.sum(np.abs(g))
    G[row.k] = np.sum(np.delete(G, row.k))
    return g - row.p * np.sum(g), G


@case("cross_entropy_gradient")
def _(draw: Draw) -> Measured:
    target, c, others = _target(draw)
    y = sr.cross_entropy_gradient(draw.given(draw.x[None]), target, **others)
    row = Row(draw.x)
    truth, G = _gradient_parts(row, -c)
    return _where_normal(compared(draw, y, truth, d=distances(draw.x), G=G), row, draw)


def _where_normal(measured: Measured, row: Row, draw: Draw, columns: int = 1) -> Measured:
    """Without the entries whose probabilities underflow in the format of the work."""
    use = row.normal(draw.f)
    if columns > 1:
        use = (use[:, None] & use).ravel()
    names = {k: v[use] if v.size == use.size else v for k, v in measured.names.items()}
    return Measured(measured.error[use], measured.ulp[use], names)


def _differences(v: np.ndarray) -> float:
    return float(v.max() - v.min())


@case("cross_entropy_hvp")
def _(draw: Draw) -> Measured:
    target, c, others = _target(draw)
    v = draw.normal()
    y = sr.cross_entropy_hvp(draw.given(draw.x[None]), target, draw.given(v[None]), **others)
    row, w = Row(draw.x), exact_number(v)
    truth = np.sum(c) * row.p * (w - np.sum(row.p * w))
    V = np.sum(c) * row.p * _differences(v)
    return _where_normal(compared(draw, y, truth, d=distances(draw.x), V=V), row, draw)


@case("softmax_jvp")
def _(draw: Draw) -> Measured:
    return _product(draw, sr.softmax_jvp)


@case("softmax_vjp")
def _(draw: Draw) -> Measured:
    return _product(draw, sr.softmax_vjp)


def _product(draw: Draw, function: Callable[..., Any]) -> Measured:
    v = draw.normal()
    y = function(draw.given(draw.x), draw.given(v))
    row, w = Row(draw.x), exact_number(v)
    truth, V = row.p * (w - np.sum(row.p * w)), row.p * _differences(v)
    return _where_normal(compared(draw, y, truth, d=distances(draw.x), V=V), row, draw)


@case("log_softmax_jvp")
def _(draw: Draw) -> Measured:
    v = draw.normal()
    y = sr.log_softmax_jvp(draw.given(draw.x), draw.given(v))
    w = exact_number(v)
    return compared(draw, y, w - np.sum(Row(draw.x).p * w), V=_differences(v))


@case("log_softmax_vjp")
def _(draw: Draw) -> Measured:
    g, row = draw.normal(), Row(draw.x)
    y = sr.log_softmax_vjp(draw.given(draw.x), draw.given(g))
    truth, G = _gradient_parts(row, exact_number(g))
    return _where_normal(compared(draw, y, truth, d=distances(draw.x), G=G), row, draw)


@case("logsumexp_jvp")
def _(draw: Draw) -> Measured:
    v = draw.normal()
    y = sr.logsumexp_jvp(draw.given(draw.x), draw.given(v))
    truth = np.sum(Row(draw.x).p * exact_number(v))
    return compared(draw, y, truth, V=np.abs(v).max())


@case("logsumexp_vjp")
def _(draw: Draw) -> Measured:
    g, row = draw.f._round(draw.rng.normal()), Row(draw.x)
    y = sr.logsumexp_vjp(draw.given(draw.x), draw.given(g))
    measured = compared(draw, y, exact_number(g) * row.p, d=distances(draw.x))
    return _where_normal(measured, row, draw)


@case("jacobian", (2, 10))
def _(draw: Draw) -> Measured:
    return _matrix(draw, sr.jacobian)


@case("logsumexp_hessian", (2, 10))
def _(draw: Draw) -> Measured:
    return _matrix(draw, sr.logsumexp_hessian)


def _matrix(draw: Draw, function: Callable[..., Any]) -> Measured:
    row, d = Row(draw.x), distances(draw.x)
    truth = np.diag(row.p) - row.p[:, None] * row.p
    measured = compared(draw, function(draw.given(draw.x)), truth, d=d[:, None] + d)
    return _where_normal(measured, row, draw, columns=draw.x.size)


@case("log_softmax_jacobian", (2, 10))
def _(draw: Draw) -> Measured:
    row, d = Row(draw.x), distances(draw.x)
    truth = np.eye(draw.x.size, dtype=int) - row.p
    d = np.broadcast_to(d, truth.shape)
    measured = compared(draw, sr.log_softmax_jacobian(draw.given(draw.x)), truth, d=d)
    return _where_normal(measured, row, draw, columns=draw.x.size)


SENTENCE = re.compile(r"Error: at most (.+?)[;.](?:\s|$)")


def stated(function: Callable[..., Any]) -> dict[str, str]:
    """The bound in the docstring, by format: "8 + 2·d ulp" as "(8 + 2*d) * ulp"."""
    found = SENTENCE.search(" ".join((function.__doc__ or "").split()))
    if not found:
        return {}
    bounds = {}
    for part in re.split(r", (?=[^,]* in )| and (?=[^,]* in )", found[1]):
        expression, formats = re.fullmatch(r"(.+?) in ((?:every format|[a-z0-9 ]+))", part).groups()
        expression = expression.replace("·", "*")
        if expression.endswith(" ulp"):
            expression = f"({expression[:-4]}) * ulp"
        for name in NAMES if formats == "every format" else formats.split(" and "):
            bounds[name] = expression
    return bounds


def bound(expression: str, measured: Measured, name: str) -> np.ndarray:
    """The bound's value for each entry."""
    u = FORMATS[WORKING_FORMAT[name]].unit_roundoff
    names = {"ulp": measured.ulp, "u": u, **measured.names}
    return np.broadcast_to(eval(expression, {"__builtins__": {}}, names), measured.error.shape)


def draws(name: str, kind: str, sizes: tuple[int, ...], seed: int) -> Iterator[Draw]:
    """One of each family and length."""
    rng = np.random.default_rng(seed)
    f = FORMATS[name]
    for n in sizes:
        for family, row in families(f, n, rng).items():
            yield Draw(f, kind, rng, row, family)


def ratios(
    case_name: str, function: Any, name: str, kind: str, seed: int, sizes: tuple[int, ...]
) -> Iterator[tuple[float, Draw]]:
    """Error over bound, the largest of each call."""
    expression = stated(function)[name]
    with gmpy2.context(precision=BITS[name]), np.errstate(all="ignore"):
        for draw in draws(name, kind, sizes, seed):
            measured = CASES[case_name](draw)
            limit = bound(expression, measured, name)
            yield max((measured.error / limit), default=0.0), draw
