"""Deployments of the flows, started and watched in Prefect's dashboard; runs until interrupted.

    prefect server start          # in one terminal, dashboard on http://127.0.0.1:4200
    python -m pipelines.serve     # in another: the study nightly at two, and both flows on demand

On demand, the dashboard's "Custom run" takes overrides such as ["method=saga_free", "finetune.epochs=20"].
"""

import argparse
import sys
from pathlib import Path

from prefect import serve

from pipelines.compare import compare
from pipelines.flow import study
from pipelines.server import chosen_server


def deployments(workspace: Path, cron: str) -> list:
    """The nightly study, the study on demand and the comparison on demand."""
    place = {"workspace": str(workspace)}
    return [
        study.to_deployment("nightly", cron=cron, parameters=place,
                            description="Brings the study up to date with the code and params.yaml."),
        study.to_deployment("on-demand", parameters={**place, "overrides": []},
                            description="The study with settings of your choice."),
        compare.to_deployment("on-demand", description="Methods and seeds as DVC experiments.",
                              parameters={**place, "methods": ["clip_reid", "saga"], "seeds": [0, 1]}),
    ]


def main(arguments: list[str] | None = None) -> int:
    """Serve the deployments of the current folder."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.serve", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cron", default="0 2 * * *", help="when the study runs (default: %(default)s)")
    given = parser.parse_args(arguments)
    with chosen_server() as where:
        print(f"serve: {where}", flush=True)
        serve(*deployments(Path.cwd(), given.cron), limit=1)  # one flow at a time: they share the workspace
    return 0


if __name__ == "__main__":
    sys.exit(main())
