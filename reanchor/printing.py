"""What people read in a terminal: tables, colours and warnings.

Where the output is no terminal all is plain text: no colour, and a line stays a line, so that it can be searched.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

GAP = 2  # spaces between columns
UNLIMITED = 100_000  # columns of what is no terminal: no cell is wrapped or cut


def show(*parts: RenderableType, stderr: bool = False) -> None:
    """Print each part by itself; colours only in a terminal, and not where NO_COLOR is set."""
    console = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    for part in parts:
        if console.is_terminal:
            console.print(part, soft_wrap=isinstance(part, str | Text))
        else:
            print(plain(part), file=console.file)


def warn(line: str) -> None:
    """One line on stderr that is no error."""
    show(Text(line, "yellow"), stderr=True)


def plain(part: RenderableType) -> str:
    """A part as text without colour, as wide as it needs to be; no line ends in spaces."""
    if isinstance(part, str | Text):
        return str(part)
    lines = io.StringIO()
    Console(file=lines, width=UNLIMITED, color_system=None, highlight=False, markup=False, emoji=False,
            force_terminal=False).print(part)
    return "\n".join(line.rstrip() for line in lines.getvalue().removesuffix("\n").split("\n"))


def columns(*titles: str, right: tuple[str, ...] = (), least: tuple[int, int] = (0, 0)) -> Table:
    """An empty table with a bold heading, without a frame; columns stand GAP apart.

    Args:
        right: titles of the columns that are aligned to the right.
        least: characters of the first column, and of each of the others, at least.
    """
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for number, title in enumerate(titles):
        table.add_column(Text(title), justify="right" if title in right else "left", overflow="fold",
                         min_width=least[number > 0])
    return table


@contextmanager
def working(what: str) -> Iterator[None]:
    """Something moves in the terminal while the block runs; no word where there is none."""
    with Console(stderr=True).status(Text(what)):
        yield
