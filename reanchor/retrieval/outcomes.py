"""What every query found, and the file it is kept in: all tables follow from it, without a model."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from reanchor.config.sections.judging import Evaluate, Search
from reanchor.errors import ReanchorError
from reanchor.files import atomic_path
from reanchor.retrieval.draws import ranked_rows
from reanchor.retrieval.measure import Measured
from reanchor.retrieval.ranking import Ranking
from reanchor.retrieval.study import Study

_NAME = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema({
    "method": _NAME, "condition": _NAME,
    "sentence": pa.int32(),  # its number, null where pictures are the queries
    "query_row": pa.int64(),  # the manifest row of the picture, or of the picture that the sentence describes
    "pid": pa.int64(), "average_precision": pa.float64(), "inverse_negative_penalty": pa.float64(),  # NaN: lost
    "first_match": pa.int64()})  # rank, 1-based; 0: lost


@dataclass(frozen=True)
class Ranked:
    """A condition as the tables name it; rankings of whole queries beside the plain one are kinds of their own."""

    name: str
    kind: str
    ratio: float | None
    on_ratio: bool = True
    gallery: int = 0  # images ranked
    occluded_images: int = 0  # of them


@dataclass(frozen=True)
class Outcomes:
    """Rankings by method and condition, whose queries they are, and how resamples of identities are drawn."""

    rankings: dict[str, dict[str, Ranking]]  # method -> condition -> queries in the same order for all methods
    rows: dict[str, np.ndarray]  # condition -> manifest rows of its queries, int64 [Q]
    pids: dict[str, np.ndarray]  # condition -> int64 [Q]
    conditions: dict[str, Ranked]
    by_sentence: bool
    bootstrap: int
    confidence: float
    seed: int

    @classmethod
    def of(cls, measured: dict[str, Measured], study: Study, config: Evaluate | Search) -> "Outcomes":
        """The outcome of a run."""
        rankings = {method: one.rankings for method, one in measured.items()}
        known = {c.name: Ranked(c.name, c.kind, c.ratio, c.on_ratio, occluded_images=len(study.places(c)))
                 for c in study.conditions()}
        first = next(iter(rankings.values()), {})
        conditions = {name: dataclasses.replace(known.get(name, Ranked(name, name, 0.0)), gallery=ranking.gallery)
                      for name, ranking in first.items()}
        rows = {name: ranked_rows(study, name, config.seed) for name in conditions}
        return cls(rankings, rows, {name: study.labels.pids[own] for name, own in rows.items()}, conditions,
                   study.by_sentence, config.bootstrap, config.confidence, config.seed)

    def write(self, path: Path) -> None:
        """All queries as rows of a Parquet file; what is no query's own stands in its metadata."""
        parts = [self._part(method, name, ranking) for method, found in self.rankings.items()
                 for name, ranking in found.items()]
        told = {"methods": list(self.rankings), "by_sentence": self.by_sentence, "bootstrap": self.bootstrap,
                "confidence": self.confidence, "seed": self.seed,
                "conditions": [dataclasses.asdict(one) for one in self.conditions.values()]}
        table = pa.concat_tables([SCHEMA.empty_table(), *parts]).unify_dictionaries()
        with atomic_path(path) as temporary:
            pq.write_table(table.replace_schema_metadata({"outcomes": json.dumps(told)}), temporary,
                           compression="zstd", row_group_size=2**20)

    def _part(self, method: str, condition: str, ranking: Ranking) -> pa.Table:
        count = len(ranking.first_Q)
        names = (pa.DictionaryArray.from_arrays(np.zeros(count, np.int32), [name]) for name in (method, condition))
        numbers = pa.array(np.arange(count), pa.int32()) if self.by_sentence else pa.nulls(count, pa.int32())
        return pa.Table.from_arrays([*names, numbers, *map(pa.array, (
            self.rows[condition], self.pids[condition], ranking.ap_Q, ranking.inp_Q, ranking.first_Q))], schema=SCHEMA)


def read_outcomes(path: Path) -> Outcomes:
    """What `Outcomes.write` wrote, value by value.

    Raises:
        ReanchorError: the file is not there, or no such file.
    """
    try:
        table = pq.read_table(path)
        told = json.loads(table.schema.metadata[b"outcomes"])
    except (FileNotFoundError, pa.ArrowInvalid, KeyError, TypeError) as error:
        raise ReanchorError(f"{path}: no outcomes of queries ({' '.join(str(error).split())[:100]}); allowed: the "
                            "queries.parquet of the stages evaluate and search; run them again") from error
    conditions = {one["name"]: Ranked(**one) for one in told.pop("conditions")}
    rankings, rows, pids = {method: {} for method in told.pop("methods")}, {}, {}
    values = {name: table[name].to_numpy() for name in SCHEMA.names[3:]}
    for method, condition, part in _runs(table):
        ap, inp, first = (values[name][part] for name in SCHEMA.names[5:])
        rankings[method][condition] = Ranking(ap, inp, first, conditions[condition].gallery)
        rows[condition], pids[condition] = values["query_row"][part], values["pid"][part]
    return Outcomes(rankings, rows, pids, conditions, **told)


def _runs(table: pa.Table) -> list[tuple[str, str, slice]]:
    """(method, condition, its rows): they stand together."""
    if not len(table):
        return []
    columns = [table[name].combine_chunks() for name in ("method", "condition")]
    codes = np.stack([column.indices.to_numpy() for column in columns])
    starts = np.flatnonzero(np.diff(codes, prepend=-1).any(0))
    names = [column.dictionary.to_pylist() for column in columns]
    return [(names[0][codes[0, start]], names[1][codes[1, start]], slice(start, stop))
            for start, stop in zip(starts, [*starts[1:], len(table)], strict=True)]
