"""The gradients experiment, and that its conclusions can fail."""

import numpy as np
import pytest

import softmax_ref
from experiments import gradients
from softmax_ref.formats import FORMATS
from tests.experiments.running import failing, run


@pytest.mark.parametrize("settings", [{}, {"seed": 1}, {"n": 2, "rows": 50}, {"n": 50, "rows": 5}])
def test_predictions_hold(settings, monkeypatch):
    found, names = run(monkeypatch, "gradients", **settings)
    assert set(found.values()) == {"holds"}
    assert len(names["table"]) == 4 * 2 * 46


def test_a_subtracted_target_is_noticed(monkeypatch):
    def subtracted(x, target, **_):
        return softmax_ref.softmax(x) - np.eye(x.shape[1], dtype=x.dtype)[target]

    monkeypatch.setattr(softmax_ref, "cross_entropy_gradient", subtracted)
    found, _ = run(monkeypatch, "gradients")
    assert failing(found) == {"others-survive", "others-exact"}


def test_a_wrong_gradient_is_noticed(monkeypatch):
    right = softmax_ref.cross_entropy_gradient
    monkeypatch.setattr(softmax_ref, "cross_entropy_gradient", lambda *a, **k: 1.1 * right(*a, **k))
    found, _ = run(monkeypatch, "gradients")
    noticed = {"closed-form-exact", "closed-form-wins", "others-exact", "autograd-agrees"}
    assert failing(found) >= noticed


def test_a_wrong_jacobian_is_noticed(monkeypatch):
    right = softmax_ref.jacobian
    monkeypatch.setattr(softmax_ref, "jacobian", lambda x: right(x) * (1 + 1e-13))
    found, _ = run(monkeypatch, "gradients")
    assert failing(found) == {"jacobian-agrees"}


def test_a_wrong_best_step_is_noticed(monkeypatch):
    """Were the step the square root of u for the central quotient, too, it would be too small."""
    monkeypatch.setattr(gradients, "best_step", lambda u, *_, central: u**0.5 / 10)
    found, _ = run(monkeypatch, "gradients")
    assert failing(found) == {"central-best-step", "forward-best-step"}


def test_a_quotient_of_the_wrong_order_is_noticed(monkeypatch):
    """A forward quotient under the name of the central one has the slope 1."""
    wrong = ("np.abs(difference_quotients(x, TARGET, h, f, central=central) - exact)",
             "np.abs(difference_quotients(x, TARGET, h, f, central=False) - exact)")  # fmt: skip
    found, _ = run(monkeypatch, "gradients", wrong)
    assert failing(found) >= {"central-best-step", "slopes"}


def test_a_wrong_margin_is_noticed(monkeypatch):
    wrong = ("else -np.log(u)", "else -np.log(u / 2)")
    found, _ = run(monkeypatch, "gradients", wrong)
    assert failing(found) == {"subtraction-vanishes", "autograd-vanishes"}


def test_the_derivatives_are_those_of_the_loss():
    """Differences of each derivative give the next, to the error of a central difference."""
    x, h, i = np.array([[0.3, -1.0, 2.0]]), 1e-5, 1
    step = h * np.eye(3)[i]
    after, before = gradients.derivatives(x + step, 0), gradients.derivatives(x - step, 0)
    at = gradients.derivatives(x, 0)
    for k in range(2):
        difference = (after[k] - before[k])[0, i] / (2 * h)
        assert difference == pytest.approx(at[k + 1][0, i], abs=1e-9)


def test_the_exact_gradient_is_p_minus_y():
    x = np.array([[0.3, -1.0, 2.0]])
    assert gradients.exact_gradient(x, 0) == pytest.approx(
        gradients.derivatives(x, 0)[0], abs=1e-15
    )


@pytest.mark.parametrize("central", [True, False])
def test_the_best_step_has_the_least_expected_error(central):
    h = gradients.best_step(1e-8, 2.0, 0.25, central=central)
    near = gradients.expected_error(h * np.array([0.9, 1, 1.1]), 1e-8, 2.0, 0.25, central=central)
    assert near.argmin() == 1


def test_a_lost_step_gives_nan():
    x = np.array([[1.0, 0.0]])
    found = gradients.difference_quotients(x, 0, 2.0**-13, FORMATS["float16"], central=True)
    assert np.isnan(found[0, 0])
    assert np.isfinite(found[0, 1])
