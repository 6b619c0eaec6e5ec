"""The study as a Prefect flow: one task per DVC stage.

    python -m pipelines.flow                                  # settings as params.yaml has them
    python -m pipelines.flow profile=smoke method=saga_free   # composes these settings first

Until it ends, nothing else composes settings in this workspace. Ctrl-C ends it: trainings leave a checkpoint, and the
next run goes on from there.
"""

import argparse
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run
from prefect.states import Completed, State

from pipelines.artifacts import link_model_run, publish_metrics, publish_picture
from pipelines.dvc_commands import DvcFailed, WorkspaceBusy, commands_end_here, reproduce, stage_graph
from pipelines.plain_errors import log_mistakes_plainly
from pipelines.server import chosen_server
from reanchor.config.load import load
from reanchor.errors import ReanchorError
from stages.check import check_inputs
from stages.compose import write_settings
from stages.settings_lock import settings_lock

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
def prepare_settings(overrides: list[str] | None, workspace: str) -> str | None:
    """Compose params.yaml with these Hydra overrides, unless they are None, and check it; its text, if it exists."""
    folder = Path(workspace)
    if overrides is not None:
        changed = write_settings(folder, overrides)
        get_run_logger().info("params.yaml %s", "written" if changed else "unchanged")
    text = settings_text(folder)
    if text is not None:
        check_inputs(load(folder / "params.yaml"), folder)
    return text


def settings_text(workspace: Path) -> str | None:
    """What params.yaml holds; None where there is none."""
    file = workspace / "params.yaml"
    return file.read_text() if file.is_file() else None


def require_unchanged(workspace: Path, text: str | None) -> None:
    """Raise ReanchorError when params.yaml is no longer `text`: figures of two studies must not be mixed."""
    if settings_text(workspace) != text:
        raise ReanchorError("params.yaml changed under this run, which began with other settings; allowed: the same "
                            "file until the run has ended; run the flow again for a study with the present ones")


def _run_name() -> str:
    """What the dashboard lists: the settings that this run was given."""
    return " ".join(["study", *(flow_run.parameters.get("overrides") or [])])


@flow(name="study", flow_run_name=_run_name, log_prints=True)
def study(overrides: list[str] | None = None, workspace: str = ".") -> dict[str, str]:
    """Bring the whole study up to date.

    Args:
        overrides: Hydra overrides such as "profile=smoke" or "finetune.recipe.epochs=20", with which params.yaml is
            composed first; [] is the default study. With None, params.yaml is used as it stands.
        workspace: Folder of the repository.

    Returns:
        Stage name -> "Completed" or "Skipped".

    Raises:
        SettingsHeld: another run is at work in the workspace.
        ReanchorError: the settings are wrong, or changed meanwhile.
        DvcFailed: a stage failed.
    """
    log_mistakes_plainly()
    folder = Path(workspace)
    with settings_lock(folder), commands_end_here():
        text = prepare_settings(overrides, workspace)
        states = _run_stages(folder, text)
        publish_metrics(folder)
        publish_picture(folder)
    return states


def _run_stages(workspace: Path, text: str | None) -> dict[str, str]:
    """Every stage, on the settings `text` alone; stage name -> state."""
    futures: dict[str, PrefectFuture] = {}
    for stage, needs in stage_graph(workspace).items():
        # One at a time: the stages share this machine's cores, and DVC's lock.
        future = run_stage.submit(stage, str(workspace), wait_for=[futures[need] for need in needs])
        future.wait()
        if future.state.is_failed() or future.state.is_crashed():
            raise DvcFailed(f"stage {stage}: {future.state.message}")
        require_unchanged(workspace, text)
        futures[stage] = future
    return {stage: future.state.name for stage, future in futures.items()}


def main(arguments: list[str] | None = None) -> int:
    """Run the study once; 0 on success, 1 after a failed stage or a refused setting, 130 or 143 when interrupted."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.flow", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="group=option or section.key=value")
    overrides = parser.parse_args(arguments).overrides
    try:
        with ended_by_sigterm(), chosen_server() as where:
            print(f"flow: {where}", flush=True)
            states = study(overrides or None)
    except (DvcFailed, ReanchorError) as error:
        print(f"flow: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("flow: interrupted; the next run goes on from here", file=sys.stderr)
        return 130
    for stage, state in states.items():
        print(f"  {stage:20} {state}")
    return 0


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """SIGTERM unwinds within this context, so that a passing server is stopped too."""
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    sys.exit(main())
