"""The study as a Prefect flow: one task per DVC stage.

    python -m pipelines.flow                                  # settings as params.yaml has them
    python -m pipelines.flow profile=smoke method=saga_free   # composes these settings first
"""

import argparse
import sys
from pathlib import Path

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run
from prefect.states import Completed, State

from pipelines.artifacts import link_model_run, publish_metrics, publish_picture
from pipelines.dvc_commands import DvcFailed, WorkspaceBusy, reproduce, run_command, stage_graph
from pipelines.server import chosen_server
from reanchor.config import load
from reanchor.errors import ReanchorError
from stages.check import check_inputs

RETRIES = 3
RETRY_SECONDS = 20
_PASSING = ("Connection", "timed out", "Temporary failure", "HTTP Error 5")  # of a download of weights


def _worth_a_retry(task, run, state: State) -> bool:
    """A busy workspace and a broken download pass; a wrong setting or failing code does not."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, WorkspaceBusy) or any(word in str(error) for word in _PASSING)


@task(cache_policy=NO_CACHE, retries=RETRIES, retry_delay_seconds=RETRY_SECONDS,
      retry_condition_fn=_worth_a_retry, task_run_name="{stage}")
def run_stage(stage: str, workspace: str) -> State:
    """Bring one DVC stage up to date; `Skipped` when nothing it reads has changed.

    Nothing is cached by Prefect: staleness is DVC's to judge.
    """
    logger = get_run_logger()
    ran = reproduce(Path(workspace), stage, logger.info)
    run_id = link_model_run(Path(workspace), stage)
    if run_id:
        logger.info("MLflow run: %s", run_id)
    done = "ran" if ran else "is up to date"
    return Completed(name="Completed" if ran else "Skipped", message=f"{stage} {done}")


@task(cache_policy=NO_CACHE, task_run_name="settings")
def prepare_settings(overrides: list[str], workspace: str) -> None:
    """Write params.yaml from conf/ with these Hydra overrides, if any, and check it."""
    folder = Path(workspace)
    if overrides:
        run_command(folder, get_run_logger().info, [sys.executable, "-m", "stages.compose", *overrides])
    if (folder / "params.yaml").is_file():
        check_inputs(load(folder / "params.yaml"), folder)


def _run_name() -> str:
    """What the dashboard lists: the settings that this run was given."""
    return " ".join(["study", *(flow_run.parameters.get("overrides") or [])])


@flow(name="study", flow_run_name=_run_name, log_prints=True)
def study(overrides: list[str] | None = None, workspace: str = ".") -> dict[str, str]:
    """Bring the whole study up to date.

    Args:
        overrides: Hydra overrides such as "profile=smoke" or "finetune.epochs=20"; params.yaml is composed
            with them first. Without any it is used as it stands.
        workspace: Folder of the repository.

    Returns:
        Stage name -> "Completed" or "Skipped".
    """
    prepare_settings(overrides or [], workspace)
    futures: dict[str, PrefectFuture] = {}
    for stage, needs in stage_graph(Path(workspace)).items():
        # One at a time: the stages share this machine's cores, and DVC's lock.
        future = run_stage.submit(stage, workspace, wait_for=[futures[need] for need in needs])
        future.wait()
        if future.state.is_failed() or future.state.is_crashed():
            raise DvcFailed(f"stage {stage}: {future.state.message}")
        futures[stage] = future
    publish_metrics(Path(workspace))
    publish_picture(Path(workspace))
    return {stage: future.state.name for stage, future in futures.items()}


def main(arguments: list[str] | None = None) -> int:
    """Run the study once; 0 on success, 1 after a failed stage."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.flow", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="group=option or section.key=value")
    overrides = parser.parse_args(arguments).overrides
    try:
        with chosen_server() as where:
            print(f"flow: {where}", flush=True)
            states = study(overrides=overrides)
    except (DvcFailed, ReanchorError) as error:
        print(f"flow: {error}", file=sys.stderr)
        return 1
    for stage, state in states.items():
        print(f"  {stage:20} {state}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
