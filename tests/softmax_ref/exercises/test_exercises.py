"""Each exercise: its truth, its official solution, its wrong answers and what is said of them."""

import copy
import functools
import math
import textwrap

import mpmath
import numpy as np
import pytest

import softmax_ref
from softmax_ref import exercises
from softmax_ref.exercises import Exercise, Wrong

ALL = [exercises.get(name) for name in exercises.names()]
EACH = pytest.mark.parametrize("exercise", ALL, ids=lambda e: e.name)
EACH_WRONG = pytest.mark.parametrize(
    ("exercise", "wrong"),
    [pytest.param(e, w, id=f"{e.name}: {w.name}") for e in ALL for w in e.wrong],
)


@functools.cache
def checked(name: str, wrong: str) -> exercises.Result:
    """The result for a listed wrong answer, computed once for all tests."""
    (function,) = (w.function for w in exercises.get(name).wrong if w.name == wrong)
    return exercises.check(name, function)


def fails(exercise: Exercise, function, arguments) -> bool:
    """Judge one call without the checker: against the truth, with the stated tolerance."""
    expected = exercise.expected(arguments)
    passed = exercise.prepare(*copy.deepcopy(arguments))
    with np.errstate(all="ignore"):
        try:
            value = np.asarray(function(*passed))
        except Exception:
            return True
    for before, after in zip(arguments, passed, strict=True):
        if isinstance(before, np.ndarray) and before.tobytes() != after.tobytes():
            return True
    if value.shape != expected.shape:
        return True
    if exercise.same_dtype and value.dtype != expected.dtype:
        return True
    if expected.dtype.kind == "U":
        return value.tolist() != expected.tolist()
    u = 2.0 ** -(np.finfo(expected.dtype).nmant + 1)
    for got, right in zip(value.ravel().tolist(), expected.ravel().tolist(), strict=True):
        if got == right:
            continue
        allowed = u * (exercise.absolute + exercise.relative * abs(right))
        if not abs(got - right) <= allowed + float(np.finfo(expected.dtype).tiny):
            return True
    return False


@EACH
def test_official_solution_is_right(exercise):
    result = exercises.check(exercise.name, exercise.solution)
    assert result, result
    assert result.count == len(exercise.inputs)
    assert repr(result) == f"{exercise.name}: right on all {result.count} inputs. Well done."


@EACH_WRONG
def test_wrong_answer_gets_the_first_input_that_shows_it_and_its_own_hint(exercise, wrong):
    result = checked(exercise.name, wrong.name)
    assert not result
    shown = tuple(result.inputs.values())
    position = result.count - 1
    assert all(a is b for a, b in zip(shown, exercise.inputs[position], strict=True))
    assert fails(exercise, wrong.function, shown)
    for smaller in exercise.inputs[:position]:
        assert not fails(exercise, wrong.function, smaller)
    assert result.hint == wrong.hint
    for parameter in exercise.parameters:
        assert f"{parameter} = " in repr(result)


@EACH_WRONG
def test_message_is_plain_and_narrow(exercise, wrong):
    text = repr(checked(exercise.name, wrong.name))
    lines = text.splitlines()
    assert max(map(len, lines)) <= 79
    labels = [line[2:12].strip() for line in lines[1:] if line[2:12].strip()]
    assert labels == ["input", "returned", "expected", "hint"]
    assert "0x" not in text


@EACH_WRONG
def test_input_shown_can_be_pasted(exercise, wrong):
    result = checked(exercise.name, wrong.name)
    text = "\n".join(line[12:] for line in repr(result).split("  returned")[0].splitlines()[1:])
    pasted = {"np": np}
    exec(text, pasted)
    for parameter, value in result.inputs.items():
        assert np.asarray(pasted[parameter]).dtype == np.asarray(value).dtype
        assert np.array_equal(pasted[parameter], value)


@EACH
def test_inputs_grow_and_stay_small(exercise):
    sizes = [sum(np.size(a) for a in arguments) for arguments in exercise.inputs]
    assert sizes == sorted(sizes)
    assert sizes[-1] <= 40


@EACH
def test_checking_again_finds_the_same_and_leaves_the_inputs_unharmed(exercise):
    before = copy.deepcopy(exercise.inputs)
    for wrong in exercise.wrong:
        again = exercises.check(exercise.name, wrong.function)
        assert repr(again) == repr(checked(exercise.name, wrong.name))
    for old, new in zip(before, exercise.inputs, strict=True):
        for a, b in zip(old, new, strict=True):
            assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


@EACH
def test_said_of_it(exercise):
    assert len(exercise.task) <= 80
    assert exercise.task.endswith((".", "each."))
    assert exercise.oracle
    assert exercise.because.endswith(".")
    assert exercise.solution.__doc__
    names = [wrong.name for wrong in exercise.wrong]
    assert len(set(names)) == len(names) >= 4
    for wrong in exercise.wrong:
        assert len(wrong.hint) <= 160
        assert wrong.hint.endswith(".") or wrong.hint.endswith("?")


# The truths, from a second source: mpmath, written out here.


def mp_softmax(x):
    e = [mpmath.exp(mpmath.mpf(float(v))) for v in x]
    return [v / mpmath.fsum(e) for v in e]


def mp_lse(x):
    return mpmath.log(mpmath.fsum(mpmath.exp(mpmath.mpf(float(v))) for v in x))


def vjp_of_log_softmax(x, g):
    rows = []
    for x_row, g_row in zip(x, g, strict=True):
        p, n = mp_softmax(x_row), len(x_row)
        L = mpmath.matrix(n, n)
        for i in range(n):
            for j in range(n):
                L[i, j] = (1 if i == j else 0) - p[j]
        rows.append(list(L.T * mpmath.matrix(g_row.tolist())))
    return rows


def jacobian_of_softmax(x):
    p = mpmath.matrix(mp_softmax(x))
    return (mpmath.diag(list(p)) - p * p.T).tolist()


def jacobian_of_log_softmax(x):
    ones = mpmath.ones(len(x), 1)
    return (mpmath.eye(len(x)) - ones * mpmath.matrix(mp_softmax(x)).T).tolist()


def softmax_of_rows(x):
    return [softmax_of_rows(row) for row in x] if x.ndim > 1 else mp_softmax(x)


def loss_of_batch(x, t):
    losses = [-mpmath.log(mp_softmax(row)[j]) for row, j in zip(x, t, strict=True)]
    return mpmath.fsum(losses) / len(losses)


def choice_by_strengths(x, available):
    v = [mpmath.exp(mpmath.mpf(float(x_i))) * int(a) for x_i, a in zip(x, available, strict=True)]
    return [v_i / mpmath.fsum(v) for v_i in v]


def gumbel_quantiles(u):
    if u.ndim:
        return [gumbel_quantiles(v) for v in u]
    return -mpmath.log(mpmath.log(1 / mpmath.mpf(float(u))))


def divergence_by_cases(p, q):
    def term(a, b):
        a, b = mpmath.mpf(float(a)), mpmath.mpf(float(b))
        if a == 0:
            return mpmath.mpf(0)
        return mpmath.inf if b == 0 else a * (mpmath.log(a) - mpmath.log(b))

    return [mpmath.fsum(map(term, *rows)) for rows in zip(p, q, strict=True)]


def binary_by_sigmoid(a, y):
    if a.ndim:
        return [binary_by_sigmoid(*entries) for entries in zip(a, y, strict=True)]
    s = 1 / (1 + mpmath.exp(-mpmath.mpf(float(a))))
    return -mpmath.mpf(float(y)) * mpmath.log(s) - (1 - mpmath.mpf(float(y))) * mpmath.log(1 - s)


def centred_logs(p):
    logs = [[mpmath.log(mpmath.mpf(float(v))) for v in row] for row in p]
    return [[v - mpmath.fsum(row) / len(row) for v in row] for row in logs]


def reheated(p, T):
    powers = [mpmath.mpf(float(v)) ** (1 / mpmath.mpf(T)) for v in p]
    return [v / mpmath.fsum(powers) for v in powers]


def gradient_of_weighted_mean(x, t, w):
    """Weighted p − y over the sum of weights, from copies: row b counts 4·w[t_b] times."""
    copies = [0 if i == -100 else int(4 * w[i]) for i in t]
    rows = [mp_softmax(row) for row in x]
    return [
        [k * (p - (1 if j == i else 0)) / sum(copies) for j, p in enumerate(row)]
        for row, i, k in zip(rows, t, copies, strict=True)
    ]


def bfloat16_by_nint(x):
    """Divide by the ulp, take mpmath's nearest integer (ties to even), and multiply again."""
    x = mpmath.mpf(x)
    exponent = max(mpmath.frexp(x)[1] - 1, -126) - 7 if x else 0
    y = mpmath.ldexp(mpmath.nint(mpmath.ldexp(x, -exponent)), exponent)
    return mpmath.sign(x) * mpmath.inf if abs(y) >= mpmath.mpf(2) ** 128 else y


def log_softmax_along(x, axis):
    rows = np.moveaxis(x, axis, -1)
    logs = np.empty(rows.shape, dtype=object)
    for index in np.ndindex(rows.shape[:-1]):
        logs[index] = [mpmath.log(p) for p in mp_softmax(rows[index])]
    return np.moveaxis(logs, -1, axis)


def softmax_of_allowed(x, allowed, T):
    """Zero strength where it is not allowed, and no shift: mpmath's exponents have no limit."""
    if x.ndim > 1:
        return [softmax_of_allowed(*row, T) for row in zip(x, allowed, strict=True)]
    v = [
        mpmath.exp(mpmath.mpf(float(a)) / T) if ok else 0 for a, ok in zip(x, allowed, strict=True)
    ]
    return [v_i / (mpmath.fsum(v) or 1) for v_i in v]


def ends_of_the_interval(high, low, error):
    middle = mpmath.mpf(high) + mpmath.mpf(low)
    return [middle - mpmath.mpf(error), middle + mpmath.mpf(error)]


def one_true_label(x):
    """Add, label by label, the sigmoid of one times what is left to the others."""

    def sigmoid(v):
        return 1 / (1 + mpmath.exp(-mpmath.mpf(float(v))))

    return [
        mpmath.fsum(
            sigmoid(row[i])
            * mpmath.fprod(1 - sigmoid(v) for j, v in enumerate(row.tolist()) if j != i)
            for i in range(len(row))
        )
        for row in x
    ]


SECOND_SOURCE = {
    "rounding-code": ends_of_the_interval,
    "logsoftmax-code": log_softmax_along,
    "stable-code": softmax_of_allowed,
    "sigmoids-exactly-one": one_true_label,
    "formats-round": bfloat16_by_nint,
    "gradient-batch": gradient_of_weighted_mean,
    "properties-inverse": centred_logs,
    "properties-reheat": reheated,
    "entropy-kl": divergence_by_cases,
    "entropy-binary": binary_by_sigmoid,
    "max-choice": choice_by_strengths,
    "max-noise": gumbel_quantiles,
    "jacobian-log-softmax-vjp": vjp_of_log_softmax,
    "jacobian-forward": jacobian_of_softmax,
    "jacobian-log-softmax": jacobian_of_log_softmax,
    "jacobian-target": lambda x, t: mp_softmax(x)[t] - 1,
    "overflow-softmax": softmax_of_rows,
    "overflow-sigmoid": lambda z: 1 / (1 + mpmath.exp(-z)),
    "underflow-code": lambda x, t: -mpmath.log(mp_softmax(x)[t]),
    "lse-difference": lambda a, b: mpmath.log(mpmath.exp(a) - mpmath.exp(b)),
    "lse-stream": mp_lse,
    "lse-mean-loss": loss_of_batch,
}


def test_every_truth_in_numbers_has_a_second_source():
    words = {e.name for e in ALL if e.expected(e.inputs[0]).dtype.kind == "U"}
    assert SECOND_SOURCE.keys() == set(exercises.names()) - words


@pytest.mark.parametrize("name", SECOND_SOURCE)
def test_truth_agrees_with_mpmath(name):
    exercise = exercises.get(name)
    for arguments in exercise.inputs:
        with mpmath.workdps(1300):  # so that 1 + e^-1000 and its neighbours need no care
            second = np.array(SECOND_SOURCE[name](*arguments), dtype=object)
            second = np.vectorize(float, otypes=[float])(second)
        first = exercise.expected(arguments)
        assert first.shape == second.shape
        # Both are rounded once from at least 40 right digits; a 1 ulp margin for halfway cases.
        assert np.allclose(first, second, rtol=float(np.finfo(first.dtype).eps), atol=1e-300)


def test_fate_is_that_of_float32_whatever_computes_exp():
    """Correctly rounded exponentials, added and divided in float32, meet the same fate."""
    exercise = exercises.get("overflow-foretell")
    fmt = softmax_ref.formats.FORMATS["float32"]
    for (x,) in exercise.inputs:
        e = np.array([_float64_exp(v) for v in x.tolist()])
        rounded = fmt.round(e)
        with np.errstate(all="ignore"):  # overflow is what is asked for
            p = rounded / rounded.sum()
        seen = ["nan" if math.isnan(v) else "zero" if v == 0 else "number" for v in p]
        assert exercise.expected((x,)).tolist() == seen


def _float64_exp(v):
    with mpmath.workdps(40):
        return float(mpmath.exp(v)) if v < 700 else math.inf


# The checker itself.


def test_unknown_exercise_names_all_and_the_nearest():
    with pytest.raises(ValueError, match=r"^unknown exercise 'lse-steam'; there are ") as caught:
        exercises.check("lse-steam", len)
    message = str(caught.value)
    assert message.endswith("; nearest is 'lse-stream'.")
    assert all(name in message for name in exercises.names())
    assert "\n" not in message


def test_what_cannot_be_called_is_refused():
    with pytest.raises(
        TypeError, match=r"^function must be callable; got an array of shape \(3,\)"
    ):
        exercises.check("overflow-softmax", np.zeros(3))
    with pytest.raises(TypeError, match=r"^function must be callable; got None\.$"):
        exercises.check("overflow-softmax", None)


def test_example_for_authors_works(monkeypatch):
    """The docstring of the package shows how a chapter adds an exercise: do as it says."""
    monkeypatch.setattr("softmax_ref.exercises._checker.REGISTRY", {})
    example = exercises.__doc__.split("::\n\n", 1)[1].split("\nIn the chapter")[0]
    module = {"__package__": "softmax_ref.exercises"}
    exec(textwrap.dedent(example), module)
    assert exercises.check("chapter-third", module["third"])
    assert exercises.check("chapter-third", lambda x: x // 3).hint.startswith("// rounds down.")


def test_integers_are_refused_only_where_they_are_wrong():
    assert exercises.check("overflow-sigmoid", lambda z: 1 if z > 700 else _sigmoid(z))
    result = exercises.check("overflow-sigmoid", lambda z: round(_sigmoid(z)))
    assert result.outcome.kind == "dtype"
    assert result.hint.startswith("Integers cannot hold the answer.")


def _sigmoid(z):
    return exercises.get("overflow-sigmoid").solution(z)


def test_name_is_taken_once():
    with pytest.raises(ValueError, match="'lse-stream' is registered already"):
        exercises.register(exercises.get("lse-stream"))


def official(x):
    return exercises.get("overflow-softmax").solution(x)


def shifted(x):
    x += 0.0 if x.dtype.kind == "f" else 0
    return official(x)


def scribbles(x):
    result = official(x)
    x[..., 0] = 7
    return result


@pytest.mark.parametrize(
    ("function", "kind", "said"),
    [
        (lambda x: 1 / 0, "raised", "it raised ZeroDivisionError: division by zero"),
        (lambda: 0, "raised", "Your function should take these parameters: x."),
        (lambda x: None, "type", "Is the return missing?"),
        (lambda x: "0.5", "type", "an object of type str"),
        (lambda x: [[1], [1, 2]], "type", "an object of type list"),
        (lambda x: official(x) * 1j, "type", "returned dtype complex128"),
        (lambda x: official(x).sum(), "shape", "expected shape (1,): [1]"),
        (lambda x: official(x)[None], "shape", "Only their arrangement is not."),
        (lambda x: official(x).astype(np.float32), "dtype", "The answer should be float64."),
        (lambda x: official(x) + np.nan, "not finite", "nan comes from"),
        (lambda x: official(x) + np.inf, "not finite", "An infinity"),
        (lambda x: -official(x), "value", "expected [1]"),
        (lambda x: official(x) * (1 + 1e-9), "value", "returned [1.000000001]"),
        (scribbles, "modified", "returned the right result, but x was changed"),
    ],
)
def test_kinds_of_failure(function, kind, said):
    result = exercises.check("overflow-softmax", function)
    assert not result
    assert result.outcome.kind == kind
    assert said in " ".join(repr(result).split())


def test_input_written_to_without_a_change_is_no_fault():
    assert exercises.check("overflow-softmax", shifted)


def test_general_hints():
    def hint(name, function):
        return exercises.check(name, function).hint

    solution = {name: exercises.get(name).solution for name in exercises.names()}
    assert hint("lse-difference", lambda a, b: 3 * solution["lse-difference"](a, b)) == (
        "On every input your result is 3 times the right one."
    )
    nearly = hint("lse-mean-loss", lambda x, t: solution["lse-mean-loss"](x, t) + 1e-9)
    assert nearly.startswith("The input is small")  # the first truth is 0: no digit is right
    nearly = hint("overflow-sigmoid", lambda z: solution["overflow-sigmoid"](z) + 1e-9)
    assert nearly.startswith("The first digits are right.")
    transposed = hint("jacobian-log-softmax", lambda x: solution["jacobian-log-softmax"](x).T + 0)
    assert "transposed" in transposed
    assert hint("overflow-foretell", lambda x: ["zero"] * x.size).startswith("Evaluate")
    assert hint("overflow-foretell", lambda x: None).endswith("Is the return missing?")
    assert hint("overflow-foretell", lambda x: [0] * x.size) == "A list of words was expected."


def test_second_fault_does_not_hide_the_first():
    """Two faults: no maximum subtracted, and small integers not converted."""
    result = exercises.check(
        "overflow-softmax", lambda x: np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)
    )
    assert result.hint.startswith("The exponentials overflow.")


def test_agreement_by_chance_gives_no_hint():
    """At the input shown, ones are what a missing division gives, and at no larger input."""
    result = exercises.check("overflow-softmax", lambda x: np.ones(x.shape))
    assert result.inputs["x"].tolist() == [0, 0]
    assert result.hint.startswith("The input is small")


def test_other_right_answers_pass():
    """Different ways to be right: the tolerance leaves room for them."""
    right = {
        "overflow-softmax": lambda x: softmax_ref.softmax(x),
        "overflow-sigmoid": lambda z: float(softmax_ref.sigmoid(np.array(z))),
        "jacobian-log-softmax-vjp": softmax_ref.log_softmax_vjp,
        "jacobian-log-softmax": softmax_ref.log_softmax_jacobian,
        "jacobian-forward": softmax_ref.jacobian,
        "jacobian-target": lambda x, t: softmax_ref.cross_entropy_gradient(
            x[None], np.array([t]), reduction="sum"
        )[0, t],
        "lse-stream": lambda s: float(softmax_ref.logsumexp(np.array(list(s), dtype=float))),
        "lse-mean-loss": softmax_ref.cross_entropy,
    }
    for name, function in right.items():
        result = exercises.check(name, function)
        assert result, result


def test_wrong_answer_that_is_right_would_be_noticed():
    """The gate above can fail: a "wrong" answer that is right leaves nothing to show."""
    exercise = exercises.get("overflow-sigmoid")
    planted = Wrong("nothing wrong", exercise.solution, "")
    assert exercises.check(exercise.name, planted.function)
    assert not any(fails(exercise, planted.function, a) for a in exercise.inputs)
