"""The whole study from a terminal (`make run`): settings, check, `dvc repro` and the table, as one unit.

    python -m pipelines.run                                            # settings as params.yaml has them
    python -m pipelines.run dataset=market1501 prepare.root=/data/x    # composes these settings first

Until it ends, nothing else composes settings in this workspace.
"""

import argparse
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from pipelines.dvc_commands import environment
from pipelines.guard import GRACE_SECONDS, adopt_orphans, end_tree
from stages import check, compose
from stages.settings_lock import SettingsHeld, settings_lock

USER_ERROR = 2
REPRODUCE = [sys.executable, "-m", "dvc", "repro"]
TABLE = [sys.executable, "-W", "ignore::RuntimeWarning", "-m", "reanchor.report.table"]


def main(arguments: list[str] | None = None) -> int:
    """Run the study in the current folder; the exit status of the first step that fails, or 0."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.run", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="group=option or section.key=value")
    overrides = parser.parse_args(arguments).overrides
    try:
        with settings_lock(Path.cwd()):
            return ((overrides and compose.main(overrides)) or check.main()
                    or _interruptible(REPRODUCE) or _interruptible(TABLE))
    except SettingsHeld as error:
        print(f"run: {error}", file=sys.stderr)
        return USER_ERROR


def _interruptible(command: list[str]) -> int:
    """Run a command in the terminal; its exit status, or 128 and the signal that ended it.

    Ctrl-C reaches the command from the terminal, and is its to answer. SIGTERM reaches this process alone, and is
    passed on. What a killed command leaves at work is ended.
    """
    def leave(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)
        end_tree(GRACE_SECONDS)
        sys.exit(128 + number)

    sys.stdout.flush()
    adopt_orphans()
    before = {signal.SIGTERM: signal.signal(signal.SIGTERM, leave)}
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # `nohup` and `command &` of a script mean it
        before[signal.SIGINT] = signal.signal(signal.SIGINT, lambda number, frame: None)  # SIG_IGN would be inherited
    try:
        status = subprocess.Popen(command, env=environment()).wait()
        if status < 0:  # `dvc` itself was killed, by the user or for memory: its stage goes too
            end_tree(GRACE_SECONDS)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
