"""Bootstrap against a slow resampling of identities, and slopes against numpy's fit."""

import numpy as np
import pytest

from reanchor.retrieval.bootstrap import IdentityBootstrap, slope


def test_means_equal_resampling_by_hand():
    """Repeat each identity's queries as often as it was drawn and take the plain mean."""
    rng = np.random.default_rng(0)
    pids, values = rng.integers(3, 9, 40), rng.random(40)
    bootstrap = IdentityBootstrap(pids, 50, 0.95, seed=5)
    means = bootstrap.means(pids, values)
    for draw, mean in zip(bootstrap.counts_BI, means, strict=True):
        assert draw.sum() == len(bootstrap.identities)
        sample = np.concatenate([np.tile(values[pids == pid], int(n))
                                 for pid, n in zip(bootstrap.identities, draw, strict=True)])
        assert mean == pytest.approx(sample.mean(), abs=1e-12)


def test_interval_of_independent_identities_is_the_textbook_one():
    """One query per identity: the interval must be close to mean +- 1.96 standard errors."""
    values = np.random.default_rng(1).normal(50, 10, 400)
    bootstrap = IdentityBootstrap(np.arange(400), 4000, 0.95, seed=0)
    low, high = bootstrap.interval(bootstrap.means(np.arange(400), values))
    error = values.std() / 20
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.1)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.1)


def test_identities_not_queries_are_resampled():
    """Ten copies of each query add nothing to what is known: the interval must not shrink."""
    values = np.random.default_rng(2).random(30)
    once = IdentityBootstrap(np.arange(30), 200, 0.9, seed=0)
    tenfold = IdentityBootstrap(np.repeat(np.arange(30), 10), 200, 0.9, seed=0)
    np.testing.assert_allclose(once.means(np.arange(30), values),
                               tenfold.means(np.repeat(np.arange(30), 10), np.repeat(values, 10)))


def test_differences_are_paired():
    """A constant lead has an interval of no width, however wide the methods' own are."""
    pids, values = np.arange(20), np.random.default_rng(3).random(20)
    bootstrap = IdentityBootstrap(pids, 100, 0.95, seed=1)
    low, high = bootstrap.interval(bootstrap.means(pids, values + 0.25) - bootstrap.means(pids, values))
    assert (low, high) == (pytest.approx(0.25), pytest.approx(0.25))
    wide = bootstrap.interval(bootstrap.means(pids, values))
    assert wide[1] - wide[0] > 0.05


def test_seed_decides():
    pids = np.arange(9)
    draws = [IdentityBootstrap(pids, 10, 0.95, seed).counts_BI for seed in (0, 0, 1)]
    assert (draws[0] == draws[1]).all() and (draws[0] != draws[2]).any()


def test_slope_is_least_squares_per_tenth():
    ratios, values = np.array([0, 0.1, 0.2, 0.4]), np.random.default_rng(4).random((5, 4))
    expected = [np.polyfit(ratios, row, 1)[0] / 10 for row in values]
    np.testing.assert_allclose(slope(ratios, values), expected, atol=1e-12)
    assert slope(np.array([0.0, 0.2]), np.array([1.0, 5.0])) == pytest.approx(2.0)
