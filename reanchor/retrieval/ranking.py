"""CMC, mAP and mINP from exact ranks, without sorting galleries and without a loop over queries.

All three metrics need only the ranks of a query's matches, and a rank is a count: the rank of a
match is 1 + the number of valid gallery items before it. Each distance is joined with its gallery
index into one 64-bit key, so that keys are distinct and their order is that of a stable argsort;
a block of queries then counts smaller keys, one SIMD comparison per match slot. For few matches
per query that is far cheaper than any sort (`python -m benchmarks.ranking`).

Protocol (Zheng et al., "Scalable Person Re-identification: A Benchmark", ICCV 2015):
gallery items of the query's own pid AND camid are dropped, pid -1 (junk) is dropped, pid 0
(distractors) stays and never matches; a query left without a match is excluded and counted.
mINP: Ye et al., "Deep Learning for Person Re-identification: A Survey and Outlook", TPAMI 2021, eq. 4.
"""

from dataclasses import dataclass

import numpy as np

from reanchor.errors import ReanchorError
from reanchor.formats.labels import Labels
from reanchor.retrieval.distance import BlockDistance, Measure, block_distance

JUNK = -1
CAMERA_RULES = ("market", "none")
MEMORY = 128 * 2**20  # bytes for one block of distances
CACHE = 2**22  # bytes of keys compared at a time: stays in a core's cache, few enough steps
LAST = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Ranking:
    """Per query: average precision, inverse negative penalty, rank of the first match.

    A lost query (no match left by the camera rule) has first_Q == 0 and NaN elsewhere.
    """

    ap_Q: np.ndarray  # float64 in [0, 1]
    inp_Q: np.ndarray  # float64 in [0, 1]
    first_Q: np.ndarray  # int64, 1-based
    gallery: int  # gallery items ranked, junk left out

    @property
    def valid(self) -> np.ndarray:
        return self.first_Q > 0

    @property
    def lost(self) -> int:
        return int((self.first_Q == 0).sum())

    def lost_sentence(self) -> str:
        return f"{self.lost} of {len(self.first_Q)} queries lost all matches to the camera rule"

    @classmethod
    def join(cls, rankings: list["Ranking"]) -> "Ranking":
        """Several rankings as one list of queries, for means over all of them."""
        columns = ([getattr(one, name) for one in rankings] for name in ("ap_Q", "inp_Q", "first_Q"))
        return cls(*(np.concatenate(column) for column in columns), rankings[0].gallery)

    def cmc(self, ranks: int = 50) -> np.ndarray:
        """Share of queries whose first match is at rank <= k, for k = 1 .. ranks, float64 [ranks]."""
        first = np.minimum(self.first_Q[self.valid], ranks + 1)
        return np.cumsum(np.bincount(first, minlength=ranks + 2)[1 : ranks + 1]) / len(first)

    def per_query(self) -> dict[str, np.ndarray]:
        """The values whose means over valid queries are the metrics, in percent, each [valid queries]."""
        first = self.first_Q[self.valid]
        return {
            "mAP": 100 * self.ap_Q[self.valid],
            **{f"R{k}": 100.0 * (first <= k) for k in (1, 5, 10)},
            "mINP": 100 * self.inp_Q[self.valid],
        }

    def metrics(self) -> dict[str, float]:
        """mAP, R1, R5, R10, mINP in percent."""
        return {name: float(values.mean()) for name, values in self.per_query().items()}


def rank_features(query_QD: np.ndarray, gallery_GD: np.ndarray, query: Labels, gallery: Labels, *,
                  measure: Measure = block_distance, rule: str = "market", own_Q: np.ndarray | None = None,
                  memory: int = MEMORY) -> Ranking:
    """Rank a gallery for each query by feature distance; see `rank_distances`.

    Args:
        measure: how features become distances (the cosine distance); it is given no junk.
        memory: bytes for one block of distances; one query's at least are made.
    """
    keep = gallery.pids != JUNK
    if not keep.all():
        gallery_GD = gallery_GD[keep]
    own_Q = _renumber(own_Q, keep, len(query.pids))
    return _rank(measure(query_QD, gallery_GD), query, gallery[keep], rule, own_Q, memory)


def rank_distances(distance_QG: np.ndarray, query: Labels, gallery: Labels, *,
                   rule: str = "market", own_Q: np.ndarray | None = None) -> Ranking:
    """Rank a gallery for each query from float32 distances [Q, G]; ties go to the lower gallery index.

    Args:
        rule: "market" drops gallery items with the query's pid and camid; "none" keeps them.
        own_Q: gallery index of each query itself (same pid), -1 where it is not there; always dropped.

    Raises:
        ReanchorError: when the rule is unknown, a distance is not finite or no query has a match.
    """
    assert distance_QG.dtype == np.float32, f"distances must be float32, got {distance_QG.dtype}"
    keep = gallery.pids != JUNK
    if not keep.all():
        distance_QG = distance_QG[:, keep]
    own_Q = _renumber(own_Q, keep, len(query.pids))
    return _rank(lambda rows: distance_QG[rows], query, gallery[keep], rule, own_Q)


def _renumber(own_Q: np.ndarray | None, keep_G: np.ndarray, queries: int) -> np.ndarray:
    """Own rows counted among the kept gallery items; -1 where there is none."""
    if own_Q is None:
        return np.full(queries, -1)
    position = np.where(keep_G, np.cumsum(keep_G) - 1, -1)
    return np.where(own_Q >= 0, position[own_Q], -1)


def lost_to_rule(query: Labels, gallery: Labels, rule: str, own_Q: np.ndarray | None = None) -> tuple[int, int]:
    """(queries without a match under this camera rule, how many of them have one under "none")."""
    own_Q = np.full(len(query.pids), -1) if own_Q is None else own_Q
    lost_Q, free_Q = (SameIdentity.find(query, gallery, which, own_Q).matches() == 0 for which in (rule, "none"))
    return int(lost_Q.sum()), int((lost_Q & ~free_Q).sum())


def require_matches(query: Labels, gallery: Labels, rule: str, own_Q: np.ndarray | None = None) -> None:
    """Raise ReanchorError when no query has a match; the message says which camera rule would give some."""
    lost, free = lost_to_rule(query, gallery, rule, own_Q)
    if lost == len(query.pids):
        remedy = (f"set evaluate.camera_rule=none, with which {free} of them have one, or give identities seen by "
                  "two cameras" if free else "no camera rule helps, since no other gallery image bears a query's "
                  "pid: check the query and gallery folders")
        raise ReanchorError(f"evaluate.camera_rule: {rule!r} leaves none of the {len(query.pids)} queries a match in "
                            f"a gallery of {len(gallery.pids)}; {remedy}")


def _rank(distance: BlockDistance, query: Labels, gallery: Labels, rule: str, own_Q: np.ndarray,
          memory: int = MEMORY) -> Ranking:
    require_matches(query, gallery, rule, own_Q)
    pairs = SameIdentity.find(query, gallery, rule, own_Q)
    matches_Q = pairs.matches()
    ranking = Ranking(np.full(len(matches_Q), np.nan), np.full(len(matches_Q), np.nan),
                      np.zeros(len(matches_Q), np.int64), len(gallery.pids))
    # Queries with equally many matches side by side: little padding in a block.
    order = np.argsort(matches_Q, kind="stable")[int((matches_Q == 0).sum()):]
    block = max(1, memory // (4 * len(gallery.pids)))
    for start in range(0, len(order), block):
        rows = order[start : start + block]
        _rank_block(distance(rows), rows, pairs, ranking)
    return ranking


def _rank_block(distance_bG: np.ndarray, rows: np.ndarray, pairs: "SameIdentity", into: Ranking) -> None:
    step = max(1, CACHE // (8 * distance_bG.shape[1]))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        rank_bP = _match_ranks(sort_keys(distance_bG[part]), *pairs.of(rows[part]))
        count_b = (rank_bP > 0).sum(1)
        rank_bP.sort(axis=1)
        # Right-aligned after the sort: padding (0) comes first.
        nth_bP = np.arange(rank_bP.shape[1]) - (rank_bP.shape[1] - count_b)[:, None]
        precision_bP = np.where(nth_bP >= 0, (nth_bP + 1) / np.maximum(rank_bP, 1), 0.0)
        into.ap_Q[rows[part]] = precision_bP.sum(1) / count_b
        into.inp_Q[rows[part]] = count_b / rank_bP[:, -1]
        into.first_Q[rows[part]] = np.take_along_axis(rank_bP, (rank_bP.shape[1] - count_b)[:, None], 1)[:, 0]


def sort_keys(distance_bG: np.ndarray) -> np.ndarray:
    """Distinct int64 keys in the order of a stable argsort of float32 distances [b, G].

    The upper half is the distance's bit pattern made monotonic, the lower half the gallery index.
    LAST fills the columns up to a multiple of 64.

    Raises:
        ReanchorError: when a distance is not finite.
    """
    if not np.isfinite(distance_bG).all():
        raise ReanchorError(
            "features: a distance is NaN or infinite; the model's weights are broken, train it again"
        )
    bits = (distance_bG + np.float32(0)).view(np.int32)  # + 0 turns -0 into 0
    bits ^= (bits >> 31) & np.int32(0x7FFFFFFF)  # negative floats count backwards
    gallery = bits.shape[1]
    keys = np.full((len(bits), -(-gallery // 64) * 64), LAST)
    keys[:, :gallery] = bits
    keys[:, :gallery] <<= 32
    keys[:, :gallery] |= np.arange(gallery)
    return keys


def _count_smaller(key_bG: np.ndarray, bound_b: np.ndarray) -> np.ndarray:
    """Number of keys below each row's bound, int64 [b]; G is a multiple of 64."""
    words = np.packbits(key_bG < bound_b[:, None], axis=1).view(np.uint64)
    return np.bitwise_count(words).sum(1, dtype=np.int64)


def _match_ranks(key_bG: np.ndarray, row: np.ndarray, item: np.ndarray, match: np.ndarray) -> np.ndarray:
    """1-based ranks [b, P] of each query's matches among its valid gallery items; 0 pads.

    `row`, `item`, `match` [pairs]: the items of the same pid, ordered by row; not `match` means dropped.
    """
    match_row, match_item = row[match], item[match]
    count_b = np.bincount(match_row, minlength=len(key_bG))
    slot = np.arange(len(match_row)) - np.repeat(np.cumsum(count_b) - count_b, count_b)
    key_bP = np.full((len(key_bG), count_b.max()), -LAST)
    key_bP[match_row, slot] = key_bG[match_row, match_item]
    key_bG[row[~match], item[~match]] = LAST  # behind everything
    rank_bP = np.zeros(key_bP.shape, np.int64)
    for p in range(key_bP.shape[1]):  # over match slots, for all queries of the block at once
        rank_bP[:, p] = _count_smaller(key_bG, key_bP[:, p])
    return np.where(key_bP > -LAST, rank_bP + 1, 0)


@dataclass(frozen=True)
class SameIdentity:
    """For each query the gallery items of its pid, and which of them count as matches."""

    start_Q: np.ndarray  # where query q's pairs start
    count_Q: np.ndarray  # pairs of query q
    item: np.ndarray  # gallery index, [pairs]
    match: np.ndarray  # bool [pairs]; False: dropped by the rule

    @classmethod
    def find(cls, query: Labels, gallery: Labels, rule: str, own_Q: np.ndarray) -> "SameIdentity":
        if rule not in CAMERA_RULES:
            raise ReanchorError(f"evaluate.camera_rule: got {rule!r}, allowed are {', '.join(CAMERA_RULES)}")
        order = np.argsort(gallery.pids, kind="stable")
        low = np.searchsorted(gallery.pids[order], query.pids, side="left")
        count_Q = np.searchsorted(gallery.pids[order], query.pids, side="right") - low
        start_Q = np.cumsum(count_Q) - count_Q
        row = np.repeat(np.arange(len(count_Q)), count_Q)
        item = order[np.arange(len(row)) - (start_Q - low)[row]]
        dropped = item == own_Q[row]
        if rule == "market":
            dropped |= gallery.camids[item] == query.camids[row]
        return cls(start_Q, count_Q, item, ~dropped)

    def matches(self) -> np.ndarray:
        """Number of matches of each query, int64 [Q]."""
        total = np.concatenate([[0], np.cumsum(self.match)])
        return total[self.start_Q + self.count_Q] - total[self.start_Q]

    def of(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(row within `rows`, gallery index, is a match) of every pair of these queries."""
        count = self.count_Q[rows]
        row = np.repeat(np.arange(len(rows)), count)
        pair = np.arange(len(row)) - np.repeat(np.cumsum(count) - count - self.start_Q[rows], count)
        return row, self.item[pair], self.match[pair]


def top_ranks(query_QD: np.ndarray, gallery_GD: np.ndarray, query: Labels, gallery: Labels, ranks: int, *,
              measure: Measure = block_distance, rule: str = "market", own_Q: np.ndarray | None = None) -> np.ndarray:
    """Gallery indices of the first `ranks` valid items of a few queries, int64 [Q, ranks] (-1 pads)."""
    own_Q = np.full(len(query.pids), -1) if own_Q is None else own_Q
    distance, pairs = measure(query_QD, gallery_GD), SameIdentity.find(query, gallery, rule, own_Q)
    step = max(1, CACHE // (8 * len(gallery.pids)))
    return np.concatenate([_top_block(distance, np.arange(start, min(start + step, len(query_QD))), pairs,
                                      gallery.pids == JUNK, ranks) for start in range(0, len(query_QD), step)])


def _top_block(distance: BlockDistance, rows: np.ndarray, pairs: SameIdentity, junk_G: np.ndarray,
               ranks: int) -> np.ndarray:
    keys = sort_keys(distance(rows))
    row, item, match = pairs.of(rows)
    keys[row[~match], item[~match]] = LAST
    keys[:, np.flatnonzero(junk_G)] = LAST
    top = np.sort(np.partition(keys, ranks - 1, axis=1)[:, :ranks], axis=1)
    return np.where(top == LAST, -1, top & 0xFFFFFFFF)
