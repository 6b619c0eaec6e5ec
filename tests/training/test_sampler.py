"""P x K batches, held to the golden epoch sizes of the authors' sampler."""

import json
from collections import Counter

import numpy as np
import pytest
from places import GOLDEN

from reanchor.errors import ReanchorError
from reanchor.training.sampler import IdentitySampler

GOLDEN = json.loads((GOLDEN / "sampler.json").read_text())
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


@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_divide_the_batches_of_one(ranks):
    sampler = IdentitySampler(PIDS, 16, 4, seed=5)
    shares = [sampler.batches(3, rank, ranks) for rank in range(ranks)]
    assert {len(share) for share in shares} == {len(sampler.batches(3))}  # equally many steps
    for whole, *parts in zip(sampler.batches(3), *shares, strict=True):
        np.testing.assert_array_equal(whole, np.concatenate(parts))
        identities = [set(PIDS[part].tolist()) for part in parts]
        assert all(len(found) == 16 // ranks for found in identities)
        assert len(set.union(*identities)) == 16  # on one rank each


def test_ranks_that_do_not_divide_a_batch_are_refused():
    with pytest.raises(ReanchorError, match=r"16 identities does not divide among 3 ranks; .* a multiple of 3"):
        IdentitySampler(PIDS, 16, 4, seed=0).batches(0, 0, 3)


@pytest.mark.parametrize("seed", range(20))
def test_replacement_comes_only_where_images_are_few(seed):
    rng = np.random.default_rng(seed)
    images, identities = int(rng.integers(2, 6)), int(rng.integers(2, 6))
    pids = rng.permutation(np.repeat(np.arange(identities + 4), rng.integers(1, 12, identities + 4)))
    counts = Counter(pids.tolist())
    batches = IdentitySampler(pids, identities, images, seed).batches(0)
    assert batches
    used = Counter(np.concatenate(batches).tolist())
    for batch in batches:
        groups = pids[batch].reshape(identities, images)
        assert (groups == groups[:, :1]).all() and len(set(groups[:, 0].tolist())) == identities
        for group in batch.reshape(identities, images):
            if counts[int(pids[group[0]])] >= images:
                assert len(set(group.tolist())) == images
    assert all(times == 1 for position, times in used.items() if counts[int(pids[position])] >= images)
