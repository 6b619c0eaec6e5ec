"""Bootstrap intervals over query identities.

Queries of one person are not independent, so whole identities are resampled (Efron & Tibshirani,
"An Introduction to the Bootstrap", 1993, ch. 8: resample the independent unit). Every method and
condition uses the same resamples, which makes differences between methods paired.
"""

import numpy as np


class IdentityBootstrap:
    """`resamples` seeded draws, with replacement, of all identities among `pids`.

    A draw is a row of multinomial counts, so a resampled mean is
    (counts . per-identity sums) / (counts . per-identity numbers of queries).
    """

    def __init__(self, pids: np.ndarray, resamples: int, confidence: float, seed: int) -> None:
        self.identities = np.unique(pids)
        self.confidence = confidence
        n = len(self.identities)
        generator = np.random.default_rng(seed)
        self.counts_BI = generator.multinomial(n, np.full(n, 1 / n), size=resamples).astype(np.float64)

    def means(self, pids: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Resampled means of per-query values, float64 [B]; NaN where a draw holds no such query."""
        index = np.searchsorted(self.identities, pids)
        sums_I = np.bincount(index, weights=values, minlength=len(self.identities))
        queries_I = np.bincount(index, minlength=len(self.identities))
        with np.errstate(invalid="ignore"):
            return (self.counts_BI @ sums_I) / (self.counts_BI @ queries_I)

    def interval(self, draws_B: np.ndarray) -> tuple[float, float]:
        """Percentile interval at the chosen confidence."""
        tail = (1 - self.confidence) / 2
        low, high = np.nanquantile(draws_B, [tail, 1 - tail])
        return float(low), float(high)


def slope(ratios_R: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Least-squares slope of `values` [..., R] over occlusion ratios, per 0.1 of ratio, [...].

    Applied to resampled leads [B, R] it gives resampled slopes [B]: a paired difference of the
    two methods' slopes, because the fit is linear in the values.
    """
    centred = np.asarray(ratios_R, np.float64) / 0.1
    centred = centred - centred.mean()
    return values @ (centred / (centred @ centred))


def area(ratios_R: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Area under `values` [..., R] over ascending occlusion ratios by trapezoids, divided by the ratios' range: [...].

    In the unit of the values: their mean over that range. Linear in the values, so that resampled leads give resampled
    differences of areas.
    """
    ratios = np.asarray(ratios_R, np.float64)
    return np.trapezoid(values, ratios, axis=-1) / (ratios[-1] - ratios[0])
