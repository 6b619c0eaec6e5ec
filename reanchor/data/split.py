"""Held-out identities: the only data that recipes are chosen on."""

import math

import numpy as np

from reanchor.errors import ReanchorError


def held_out_pids(pids: list[int], share: float, seed: int) -> set[int]:
    """`share` of the training identities, drawn by `seed` from the sorted pids.

    Raises:
        ReanchorError: when a share above 0 leaves fewer than 2 identities on either side.
    """
    pids = sorted(set(pids))
    count = round(share * len(pids))
    if share == 0:
        return set()
    if len(pids) < 4:
        raise ReanchorError(f"prepare.validation_share: {len(pids)} training identities cannot be divided, "
                            "at least 4 are needed; add identities")
    if count < 2 or len(pids) - count < 2:
        low = math.ceil(200 / len(pids)) / 100
        raise ReanchorError(f"prepare.validation_share: {share} of {len(pids)} training identities is {count}"
                            f", but train and val need 2 each; choose {low} to {max(low, 0.5)}")
    order = np.random.default_rng(seed).permutation(len(pids))
    return {pids[index] for index in order[:count]}
