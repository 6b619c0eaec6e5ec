"""Deployments of the flows, started and watched in Prefect's dashboard; runs until interrupted.

    prefect server start                           # in one terminal, dashboard on http://127.0.0.1:4200
    python -m pipelines.serve                      # in another: the study nightly at two, and both flows on demand
    python -m pipelines.serve --cron "30 22 * * 1-5" --timezone Europe/Berlin method=saga_free

The nightly study has the settings named here (none: the default study), whatever was run on demand meanwhile.
On demand, the dashboard's "Custom run" takes overrides such as ["method=saga_free", "finetune.recipe.epochs=20"].
"""

import argparse
import sys
from pathlib import Path

from prefect import serve
from prefect.client.schemas.schedules import CronSchedule

from pipelines.compare import compare, compared
from pipelines.flow import settings_text, study
from pipelines.schedule import nightly_schedule
from pipelines.server import chosen_server
from reanchor.errors import ReanchorError
from stages.compose import composition

USER_ERROR = 2


def deployments(workspace: Path, schedule: CronSchedule, overrides: list[str]) -> list:
    """The nightly study with `overrides`, the study on demand and the comparison on demand."""
    place = {"workspace": str(workspace)}
    return [
        study.to_deployment("nightly", schedule=schedule, parameters={**place, "overrides": overrides},
                            description=f"Brings {_named(overrides)} up to date with the code."),
        study.to_deployment("on-demand", parameters={**place, "overrides": []},
                            description="The study with settings of your choice; none: the default study."),
        compare.to_deployment("on-demand", description="Methods and seeds as DVC experiments.",
                              parameters={**place, "methods": compared(), "seeds": [0, 1]}),
    ]


def announcement(workspace: Path, schedule: CronSchedule, overrides: list[str]) -> list[str]:
    """What will run when, as lines; raises ReanchorError where the settings cannot be composed."""
    lines = [f"{schedule.cron!r} in {schedule.timezone}: {_named(overrides)}"]
    if settings_text(workspace) != composition(workspace, overrides):
        lines.append("params.yaml holds other settings at present; the nightly run composes its own")
    return lines


def _named(overrides: list[str]) -> str:
    return f"the study with {' '.join(overrides)}" if overrides else "the default study"


def main(arguments: list[str] | None = None) -> int:
    """Serve the deployments of the current folder; 0 when interrupted, 2 after a message."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.serve", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cron", default="0 2 * * *", help="when the study runs (default: %(default)s, at two)")
    parser.add_argument("--timezone", help="the zone of --cron, such as Europe/Berlin (default: this machine's)")
    parser.add_argument("overrides", nargs="*", help="settings of the nightly study: group=option or section.key=value")
    given = parser.parse_args(arguments)
    try:
        schedule = nightly_schedule(given.cron, given.timezone)
        for line in announcement(Path.cwd(), schedule, given.overrides):
            print(f"serve: {line}", flush=True)
        with chosen_server() as where:
            print(f"serve: {where}", flush=True)
            # One flow at a time: they share the workspace.
            serve(*deployments(Path.cwd(), schedule, given.overrides), limit=1)
    except ReanchorError as error:
        print(f"serve: {error}", file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:  # while the passing server starts; afterwards Prefect answers it
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
