"""The command `reanchor`: what is done by hand, beside the pipeline.

A command is a module here with one function, whose signature and docstring are its arguments and its help; it returns
the exit status and is listed in COMMANDS. A module imports what it works with when it runs: help comes at once.
"""

import functools
import inspect
import sys
from collections.abc import Callable

import typer

from reanchor.cli.cutouts import cutouts
from reanchor.cli.doctor import doctor
from reanchor.cli.embed import embed
from reanchor.cli.export import export
from reanchor.cli.import_ import import_
from reanchor.errors import ReanchorError

COMMANDS: dict[str, Callable[..., int]] = {
    "embed": embed, "doctor": doctor, "import": import_, "export": export, "cutouts": cutouts,
}
USER_ERROR = 2  # exit status

app = typer.Typer(name="reanchor", no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich",
                  context_settings={"help_option_names": ["-h", "--help"]},
                  help="Find a person again, by a picture or a sentence. The study itself is make run, in a checkout.",
                  epilog="Examples of a command: reanchor COMMAND --help\n\n"
                         "Completion in your shell: reanchor --install-completion")


def reported(name: str, command: Callable[..., int]) -> Callable[..., None]:
    """The command with its mistakes told in one line on stderr, and its exit status as typer wants it."""
    @functools.wraps(command)
    def run(*given, **named) -> None:
        try:
            status = command(*given, **named)
        except BrokenPipeError:  # `| head` has seen enough; typer ends quietly
            raise
        except (ReanchorError, OSError, ModuleNotFoundError) as error:
            print(" ".join(f"reanchor {name}: {_told(error)}".split()), file=sys.stderr)
            status = USER_ERROR
        raise typer.Exit(status)

    return run


def _add(name: str, command: Callable[..., int]) -> None:
    """Examples stand last in the help, each on a line of its own."""
    text, title, examples = inspect.cleandoc(command.__doc__ or "").partition("Examples:")
    lines = [title, *(line.strip() for line in examples.splitlines() if line.strip())]
    app.command(name, help=text, epilog="\n\n".join(lines))(reported(name, command))


def _told(error: Exception) -> str:
    """One line about a mistake, or about the machine: no permission, a folder where a file should be."""
    if isinstance(error, ModuleNotFoundError):
        if (error.name or "").partition(".")[0] == "reanchor":
            raise error
        return f"needs {error.name}, which is not here; what the study needs comes with pip install 'reanchor[study]'"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'output'}: {error.strerror}"
    return str(error)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 2 after a message on stderr."""
    try:
        app(arguments, prog_name="reanchor")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


for _name, _command in COMMANDS.items():
    _add(_name, _command)
