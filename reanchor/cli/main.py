"""The command `reanchor`: what is done by hand, beside the pipeline.

A command is a module here with `add(subparsers)`, which adds its parser and sets `run`, a function of
the parsed arguments that returns the exit status; it is listed in COMMANDS.
"""

import argparse
import sys
from collections.abc import Callable

from reanchor.cli import cutouts, doctor, export, import_
from reanchor.errors import ReanchorError

COMMANDS: tuple[Callable, ...] = (doctor.add, import_.add, export.add, cutouts.add)
USER_ERROR = 2  # exit status


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 2 after a one-line message on stderr."""
    parser = argparse.ArgumentParser(prog="reanchor", description="Occlusion-robust person re-identification")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in COMMANDS:
        add(subparsers)
    given = parser.parse_args(arguments)
    try:
        return given.run(given)
    except ReanchorError as error:
        print(" ".join(f"reanchor {given.command}: {error}".split()), file=sys.stderr)
        return USER_ERROR
    except OSError as error:  # no permission, a folder where a file should be
        print(f"reanchor {given.command}: {error.filename}: {error.strerror}", file=sys.stderr)
        return USER_ERROR
