"""P x K batches, held to the golden epoch sizes of the authors' sampler."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from reanchor.data import IdentitySampler
from reanchor.errors import ReanchorError

GOLDEN = json.loads((Path(__file__).parent / "golden/sampler.json").read_text())
PIDS = np.array(GOLDEN["pids"])


@pytest.mark.parametrize("name", GOLDEN["results"])
def test_epoch_sizes_are_the_golden_ones(name):
    batch, images = (int(part[1:]) for part in name.split("_"))
    golden = GOLDEN["results"][name]
    sampler = IdentitySampler(PIDS, batch // images, images, seed=0)
    assert sampler.max_images == golden["len"]
    yields = [sum(map(len, sampler.batches(epoch))) for epoch in range(300)]
    assert golden["yield_min"] <= min(yields) and max(yields) <= golden["yield_max"]
    # 300 epochs: the mean is known to about a tenth of a batch
    assert abs(np.mean(yields) - golden["yield_mean"]) < 0.15 * batch


def test_batches_hold_distinct_identities_and_images_come_once():
    sampler = IdentitySampler(PIDS, 16, 4, seed=1)
    counts = Counter(PIDS.tolist())
    used = Counter()
    for batch in sampler.batches(0):
        groups = PIDS[batch].reshape(16, 4)
        assert (groups == groups[:, :1]).all() and len(set(groups[:, 0])) == 16
        used.update(batch.tolist())
    again = {int(PIDS[position]) for position, times in used.items() if times > 1}
    assert all(counts[pid] < 4 for pid in again) and again
    per_identity = Counter(int(PIDS[position]) for position in used.elements())
    assert all(total <= max(counts[pid] // 4, 1) * 4 for pid, total in per_identity.items())


def test_an_epoch_depends_on_seed_and_epoch_alone():
    sampler = IdentitySampler(PIDS, 8, 4, seed=3)
    late = sampler.batches(7)
    sampler.batches(2)
    np.testing.assert_array_equal(np.concatenate(late), np.concatenate(sampler.batches(7)))
    other = IdentitySampler(PIDS, 8, 4, seed=3)
    np.testing.assert_array_equal(np.concatenate(late), np.concatenate(other.batches(7)))
    assert not np.array_equal(late[0], sampler.batches(8)[0])
    assert not np.array_equal(late[0], IdentitySampler(PIDS, 8, 4, seed=4).batches(7)[0])


def test_equal_identities_are_used_up_completely():
    pids = np.repeat(np.arange(8), 4)
    batches = IdentitySampler(pids, 4, 4, seed=0).batches(0)
    assert sorted(np.concatenate(batches).tolist()) == list(range(32))


def test_too_few_identities_is_one_line():
    with pytest.raises(ReanchorError, match="needs 16 identities, the training images have 3"):
        IdentitySampler(np.array([1, 1, 2, 3]), 16, 4, seed=0)
