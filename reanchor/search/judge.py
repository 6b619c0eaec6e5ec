"""Judge methods of text-based person search and write everything the report shows."""

import json
from collections.abc import Callable
from pathlib import Path

from reanchor.config.sections.judging import Search
from reanchor.errors import ReanchorError
from reanchor.formats.searcher import Searcher
from reanchor.search.measure import Searched, search_method
from reanchor.search.outputs import write_outputs
from reanchor.search.study import SearchStudy
from reanchor.search.tables import Tables, tabulate

SearcherFactory = Callable[[], Searcher]

# Each method and the folder of its model under models/.
SEARCHERS = {"zero_shot": "backbone", "clip_tuned": "tbps/clip_tuned", "sdm": "tbps/sdm",
             "tbps_clip": "tbps/tbps_clip", "mgcc": "mgcc"}

UNTRAINED = ("zero_shot",)  # the backbone as it comes


def searcher_factories(methods: list[str], models: Path, device: str) -> dict[str, SearcherFactory]:
    """Method -> function that loads it, in the order of `methods`; models are loaded when their turn comes.

    Raises:
        ReanchorError: a method was not trained.
    """
    for method in methods:
        note = models / SEARCHERS[method] / "skipped.json"
        if note.is_file():
            raise ReanchorError(f"search.methods: got {method!r}, which was not trained "
                                f"({json.loads(note.read_text())['reason']}); train it, or take it out of "
                                "search.methods")
    return {method: _loader(models / SEARCHERS[method], device) for method in methods}


def _loader(folder: Path, device: str) -> SearcherFactory:
    def load() -> Searcher:
        from reanchor.methods.load_searcher import load_searcher

        return load_searcher(folder, device)

    return load


def judge(config: Search, study: SearchStudy, factories: dict[str, SearcherFactory], out: Path,
          say: Callable[[str], None] = print) -> dict[str, float]:
    """Search with every method, write the tables into `out`, return {"method/condition/metric": value}.

    Writes results.parquet, differences.parquet, rankings.parquet, protocol.json, cost.json.
    """
    searched: dict[str, Searched] = {name: search_method(name, load(), study, config, say)
                                     for name, load in factories.items()}
    tables = tabulate(searched, study, config)
    write_outputs(out, config, study, searched, tables)
    return flat_metrics(tables)


def flat_metrics(tables: Tables) -> dict[str, float]:
    """Every value under one flat name."""
    return {f"{row['method']}/{row['condition']}/{row['metric']}": round(row["value"], 4) for row in tables.results}
