"""Datasets of two cameras without a fixed split: half of the identities, drawn anew by each seed, train."""

import dataclasses

import numpy as np

from reanchor.data.listing import Entry


def split_in_halves(entries: list[Entry], seed: int) -> list[Entry]:
    """Give entries their split: of the N identities N // 2 train; of the others camera 1 searches camera 2.

    So deep-person-reid draws its splits, each of which it also judges the other way round. The draw depends on
    the pids and the seed alone.
    """
    pids = sorted({entry.pid for entry in entries})
    order = np.random.default_rng(seed).permutation(len(pids))
    train = {pids[index] for index in order[:len(pids) // 2]}

    def split_of(entry: Entry) -> str:
        return "train" if entry.pid in train else "query" if entry.camid == 1 else "gallery"

    return [dataclasses.replace(entry, split=split_of(entry)) for entry in entries]
