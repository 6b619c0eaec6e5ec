"""Judge methods of text-based person search and write everything the report shows."""

import json
from collections.abc import Callable
from pathlib import Path

from reanchor.config.sections.judging import Search
from reanchor.errors import ReanchorError
from reanchor.formats.searcher import Searcher
from reanchor.methods.method import SENTENCE
from reanchor.methods.registry import judged
from reanchor.methods.searchers import load_searcher
from reanchor.search.measure import Searched, search_method
from reanchor.search.outputs import write_outputs
from reanchor.search.study import SearchStudy
from reanchor.search.tables import Tables, tabulate

SearcherFactory = Callable[[], Searcher]

def searcher_factories(names: list[str], workspace: Path, device: str) -> dict[str, SearcherFactory]:
    """Method -> function that loads it, in the order of `names`; models are loaded when their turn comes.

    Raises:
        ReanchorError: a method was not trained.
    """
    folders = {name: workspace / judged(SENTENCE)[name].model for name in names}
    for name, folder in folders.items():
        note = folder / "skipped.json"
        if note.is_file():
            raise ReanchorError(f"search.methods: got {name!r}, which was not trained "
                                f"({json.loads(note.read_text())['reason']}); train it, or take it out of "
                                "search.methods")
    return {name: _loader(folder, device) for name, folder in folders.items()}


def _loader(folder: Path, device: str) -> SearcherFactory:
    def load() -> Searcher:
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
