"""Methods and seeds side by side, each combination a DVC experiment in a copy of the workspace.

    python -m pipelines.compare --methods saga saga_free --seeds 0 1 2
    python -m pipelines.compare --methods clip_reid saga --seeds 0 -- profile=smoke
"""

import argparse
import json
import os
import statistics
import sys
from pathlib import Path

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed, State

from pipelines.artifacts import artifact_key
from pipelines.dvc_commands import DvcFailed, commands_end_here, dvc
from pipelines.flow import ended_by_sigterm
from pipelines.plain_errors import log_mistakes_plainly
from pipelines.server import chosen_server
from reanchor.errors import ReanchorError
from reanchor.methods.method import IMAGE
from reanchor.methods.registry import global_pooling, judged
from reanchor.methods.registry import methods as known_methods
from stages.settings_lock import settings_lock

JUDGED = ("evaluate/", "search/")  # stages whose figures are compared; those of `search` keep its name


def experiment_name(method: str, seed: int, overrides: list[str]) -> str:
    """The same name for the same settings, so that a second comparison finds the first one's results."""
    return artifact_key("-".join(["compare", method, f"seed{seed}", *sorted(overrides)]))


def compared() -> list[str]:
    """What is compared where nobody says: global pooling, and the first method made for occlusion."""
    made = next(name for name, method in judged(IMAGE).items() if method.occlusion)
    return [global_pooling(), made]


def seeds_of_trainings() -> list[str]:
    """The settings that seed a training; data and backbone keep theirs."""
    return sorted({method.seed for method in known_methods().values() if method.seed})


@task(cache_policy=NO_CACHE, task_run_name="{name}")
def run_experiment(name: str, method: str, seed: int, overrides: list[str], workspace: str,
                   parent: str) -> State:
    """`dvc exp run --temp` of one combination; `Skipped` when this commit has such an experiment already."""
    folder, logger = Path(workspace), get_run_logger()
    if name in dvc(folder, logger.debug, "exp", "list", "--names-only"):
        return Completed(name="Skipped", message=f"{name} exists; `dvc exp remove {name}` to run it again")
    settings = [f"method={method}", *overrides, *(f"{key}={seed}" for key in seeds_of_trainings())]
    options = [part for setting in settings for part in ("-S", setting)]
    dvc(folder, logger.info, "exp", "run", "--temp", "-n", name, *options,
        variables={"REANCHOR_PARENT_RUN": parent})
    return Completed(message=f"{name} ran")


@flow(name="compare", flow_run_name="compare {methods} seeds {seeds}")
def compare(methods: list[str], seeds: list[int], overrides: list[str] | None = None,
            workspace: str = ".") -> list[dict]:
    """Run every method with every seed; show mean and standard deviation over seeds.

    Args:
        methods: Options of conf/method.
        seeds: Of every training.
        overrides: Further Hydra overrides, the same for all.
        workspace: Folder of the repository; what git does not have yet is carried along.

    Returns:
        One row per method and metric: mean, standard deviation, seeds.

    Raises:
        SettingsHeld: another run is at work in the workspace.
        DvcFailed: an experiment failed.
    """
    log_mistakes_plainly()
    with settings_lock(Path(workspace)), commands_end_here():  # a copy is made of what the workspace holds
        rows = _compared(methods, seeds, overrides or [], workspace)
    if rows:
        create_table_artifact(key="comparison", table=rows, description=f"over seeds {seeds}")
    return rows


def _compared(methods: list[str], seeds: list[int], overrides: list[str], workspace: str) -> list[dict]:
    """Run what is missing; the rows of `compare`."""
    names = {(method, seed): experiment_name(method, seed, overrides) for method in methods for seed in seeds}
    parent = _parent_run(Path(workspace), methods, seeds, overrides)
    for (method, seed), name in names.items():
        run_experiment(name, method, seed, overrides, workspace, parent)
    lines = dvc(Path(workspace), get_run_logger().debug, "exp", "show", "--json", "--num", "1")
    return summarise(experiment_metrics(_first_json(lines)), names)


def experiment_metrics(shown: list[dict]) -> dict[str, dict[str, float]]:
    """{experiment name: {"stage/metric": value}} from `dvc exp show --json`."""
    found = {}
    for baseline in shown:
        for entry in baseline.get("experiments") or []:
            revision = entry["revs"][0]
            files = (revision.get("data") or {}).get("metrics") or {}
            found[entry["name"]] = {
                f"{Path(file).parent.name}/{metric}": value for file, content in files.items()
                for metric, value in _leaves(content.get("data") or {}).items()}
    return found


def summarise(metrics: dict[str, dict[str, float]], names: dict[tuple[str, int], str]) -> list[dict]:
    """Mean and sample standard deviation over seeds of every metric of the judging stages that all of them have."""
    rows = []
    for method in dict.fromkeys(method for method, _ in names):
        runs = [metrics[name] for (each, _), name in names.items() if each == method and name in metrics]
        shared = sorted(set.intersection(*(set(run) for run in runs))) if runs else []
        for metric in shared:
            values = [run[metric] for run in runs]
            if metric.startswith(JUDGED) and metric.count("/") > 1:  # not seconds and memory
                rows.append({"method": method, "metric": metric.removeprefix("evaluate/"),
                             "mean": round(statistics.fmean(values), 4), "seeds": len(values),
                             "deviation": round(statistics.stdev(values), 4) if len(values) > 1 else None})
    return rows


def _leaves(content: dict, prefix: str = "") -> dict:
    leaves: dict = {}
    for key, value in content.items():
        leaves |= _leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return leaves


def _first_json(lines: list[str]) -> list[dict]:
    return json.loads(next(line for line in lines if line.startswith("[")))


def _parent_run(workspace: Path, methods: list[str], seeds: list[int], overrides: list[str]) -> str:
    """An MLflow run that the experiments' runs hang below."""
    os.environ.setdefault("DVC_ROOT", str(workspace.resolve()))
    from stages.tracking.run import open_group

    return open_group(workspace, f"compare {', '.join(methods)}", {"seeds": seeds, "overrides": overrides})


def main(arguments: list[str] | None = None) -> int:
    """Run a comparison and print it; 0 on success, 1 after a failed experiment."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.compare", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=compared(), help="options of conf/method")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("overrides", nargs="*", help="group=option or section.key=value, after --")
    given = parser.parse_args(arguments)
    try:
        with ended_by_sigterm(), chosen_server() as where:
            print(f"compare: {where}", flush=True)
            rows = compare(given.methods, given.seeds, given.overrides)
    except (DvcFailed, ReanchorError) as error:
        print(f"compare: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("compare: interrupted; the next run goes on from here", file=sys.stderr)
        return 130
    for row in rows:
        print(f"{row['method']:18} {row['metric']:40} {row['mean']:>10} +- {row['deviation']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
