"""The digits model: our gradient, its optimum against scikit-learn's, the logits it gives."""

import numpy as np
import pytest
from scipy.optimize import check_grad
from sklearn.linear_model import LogisticRegression

from experiments.digits import CLASSES, digit_logits, load_digits_split, objective, train

STRENGTHS = [0.1, 1.0]


def test_the_split_is_seeded():
    first, again, other = (load_digits_split.__wrapped__(seed) for seed in (1, 1, 2))
    assert np.array_equal(first.test_labels, again.test_labels)
    assert not np.array_equal(first.test_pixels, other.test_pixels)


def test_gradient_agrees_with_finite_differences():
    split = load_digits_split(0)
    pixels, labels = split.train_pixels[:20], split.train_labels[:20]
    parameters = np.random.default_rng(0).standard_normal(CLASSES * 65)
    error = check_grad(
        lambda w: objective(w, pixels, labels, 1.0)[0],
        lambda w: objective(w, pixels, labels, 1.0)[1],
        parameters,
    )
    # 650 forward differences with step 1.5e-8: each is off by about 1e-7 of a loss of size 10.
    assert error < 1e-5


@pytest.fixture(scope="module", params=STRENGTHS, ids="C={}".format)
def pair(request):
    """Return our model and scikit-learn's, trained to the same objective."""
    split, C = load_digits_split(0), request.param
    ours = train(split.train_pixels, split.train_labels, C=C)
    theirs = LogisticRegression(C=C, tol=1e-10, max_iter=20_000)
    return ours, theirs.fit(split.train_pixels, split.train_labels), C


def test_coefficients_agree_with_scikit_learn(pair):
    ours, theirs, C = pair
    # Both stop where the gradient g is small, not 0.  The loss is 1/(C m)-strongly convex in the
    # weights, so each is within C m ‖g‖ of the optimum: 1,347 · C · 26 · 1e-9 = 3.4e-5 C for ours,
    # and scikit-learn stops no later.  The weights are of size 1 to 3.
    assert np.abs(ours.weights - theirs.coef_).max() < 1e-4 * max(C, 1)
    # The bias is not regularised, so only its differences between classes are determined.
    bias = theirs.intercept_ - theirs.intercept_.mean()
    # No strong convexity holds it in place: it is as near as ten times the weights.
    assert np.abs(ours.bias - bias).max() < 1e-3 * max(C, 1)


def test_scikit_learns_optimum_is_one_of_ours(pair):
    _, theirs, C = pair
    split = load_digits_split(0)
    at = np.column_stack([theirs.coef_, theirs.intercept_]).ravel()
    _, gradient = objective(at, split.train_pixels, split.train_labels, C)
    # At zero weights the largest entry is 0.04; scikit-learn's own stopping rule leaves about 1e-7.
    assert np.abs(gradient).max() < 1e-6


def test_held_out_accuracy_agrees_with_scikit_learn(pair):
    ours, theirs, _ = pair
    split = load_digits_split(0)
    share = ours.accuracy(split.test_pixels, split.test_labels)
    assert share == theirs.score(split.test_pixels, split.test_labels)  # the same 450 answers
    assert share > 0.94  # a linear model reads nearly all of these digits


def test_another_regularisation_is_told_apart(pair):
    """The comparison can fail: half the penalty moves the weights far beyond its tolerance."""
    _, theirs, C = pair
    split = load_digits_split(0)
    other = train(split.train_pixels, split.train_labels, C=2 * C)
    assert np.abs(other.weights - theirs.coef_).max() > 0.05


def test_weights_and_logits_add_up_to_zero_over_the_classes(pair):
    ours, _, _ = pair
    # Sums of ten rounded numbers of size 3, over hundreds of steps: far below 1e-10.
    assert np.abs(ours.weights.sum(axis=0)).max() < 1e-10
    assert np.abs(ours.logits(load_digits_split(0).test_pixels).sum(axis=1)).max() < 1e-9


def test_weaker_regularisation_gives_larger_logits():
    spread = [digit_logits(C, 0).std() for C in (0.1, 1.0, 10.0)]
    assert spread == sorted(spread)
    assert digit_logits(1.0, 0).shape == (450, CLASSES)
