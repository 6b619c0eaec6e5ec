"""Tables where they are no terminal's: plain, aligned and whole."""

from rich.text import Text

from reanchor.printing import columns, plain, show


def table():
    rows = columns("name", "count", "note", right=("count",), least=(8, 6))
    rows.add_row(Text("a", "red"), "7", "x " * 200)
    rows.add_row("longer-name", "1,234", "[red]not a colour[/red] :smile:")
    return rows


def test_columns_are_aligned_and_no_cell_is_cut():
    assert plain(table()).splitlines() == [
        "name          count  note",
        "a                 7  " + ("x " * 200).rstrip(),
        "longer-name   1,234  [red]not a colour[/red] :smile:",
    ]


def test_text_passes_as_it_is(capsys):
    line = "a\tb [bold]c[/bold] " + "long " * 100
    show(line, Text(line, "red"), table())
    said = capsys.readouterr().out
    assert said.startswith(f"{line}\n{line}\nname") and "\x1b" not in said


def test_warnings_go_to_stderr(capsys):
    show("careful", stderr=True)
    assert capsys.readouterr() == ("", "careful\n")
