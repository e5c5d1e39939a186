"""Gumbel-max draws from the softmax; the relaxed sample tends to it."""

import numpy as np
import pytest
import scipy.stats
import torch

import softmax_ref as sr

X = np.array([1.0, -np.inf, 0.0, 2.5, -1.0])


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_the_frequencies_are_the_probabilities(library):
    """A chi-squared test at 1e-4, with the seed fixed: it fails for a wrong distribution."""
    n = 20_000
    if library == "numpy":
        samples = sr.gumbel_max(np.broadcast_to(X, (n, 5)), np.random.default_rng(11))
    else:
        generator = torch.Generator().manual_seed(11)
        samples = sr.gumbel_max(torch.tensor(X).expand(n, 5), generator).numpy()
    counts = np.bincount(samples, minlength=5)
    expected = n * sr.softmax(X)
    assert counts[1] == 0
    possible = expected > 0
    assert scipy.stats.chisquare(counts[possible], expected[possible]).pvalue > 1e-4


def test_the_same_state_gives_the_same_sample():
    x = np.zeros((50, 7), np.float32)
    first = sr.gumbel_max(x, np.random.default_rng(1))
    np.testing.assert_array_equal(first, sr.gumbel_max(x, np.random.default_rng(1)))
    assert np.any(first != sr.gumbel_max(x, np.random.default_rng(2)))
    assert sr.gumbel_max(x.T, np.random.default_rng(1), axis=0).shape == (50,)
    assert isinstance(sr.gumbel_max(x[0], np.random.default_rng(1)), np.int64)


def test_a_relaxed_sample_tends_to_the_sample():
    x = np.random.default_rng(0).normal(size=(200, 4))
    sample = sr.gumbel_max(x, np.random.default_rng(3))
    p = sr.gumbel_softmax(x, np.random.default_rng(3), temperature=1e-4)
    np.testing.assert_allclose(p.sum(-1), 1.0, rtol=1e-14)
    assert np.mean(p[np.arange(200), sample] > 0.999) > 0.98
    assert sr.gumbel_softmax(np.empty((2, 0)), np.random.default_rng(3)).shape == (2, 0)
    assert sr.gumbel_softmax(x.astype(np.float16), np.random.default_rng(3)).dtype == np.float16


def test_it_is_differentiable_in_the_logits():
    x = torch.zeros(3, 4, dtype=torch.float64, requires_grad=True)
    p = sr.gumbel_softmax(x, torch.Generator().manual_seed(0), temperature=0.5)
    (g,) = torch.autograd.grad(p[:, 0].sum(), x)
    torch.testing.assert_close(g.sum(-1), torch.zeros(3, dtype=torch.float64), atol=1e-15, rtol=0)
    assert (g[:, 0] > 0).all()
