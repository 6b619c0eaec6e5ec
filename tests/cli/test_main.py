"""The command: its help, its mistakes and its colours."""

import os
import pty
import subprocess
import sys

import pytest
from places import ROOT

from reanchor.cli.main import COMMANDS, main

PLAIN = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE")}


def test_help_lists_the_commands_and_imports_no_heavy_library():
    script = ("import sys\nfrom reanchor.cli.main import main\nstatus = main(['--help'])\n"
              "heavy = {'torch', 'numpy', 'pyarrow', 'PIL', 'scipy', 'omegaconf', 'open_clip'}\n"
              "print(status, *sorted(heavy & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[-1] == "0"
    for name in COMMANDS:
        assert any(line.startswith(f"│ {name} ") for line in lines), name
    assert "--install-completion" in done.stdout and "\x1b" not in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_examples_of_its_own(name, capsys):
    assert main([name, "--help"]) == 0
    said = capsys.readouterr().out
    examples = said.partition("Examples:")[2]
    assert f"reanchor {name}" in examples and "Usage: reanchor" in said


@pytest.mark.parametrize(("arguments", "words"), [
    (["doctr"], "Did you mean 'doctor'"), (["import"], "Missing argument 'FILE'"),
    (["export", "x", "--out", "y", "--to", "onnx"], "'onnx' is not one of 'clip-reid', 'open-clip'"),
    (["embed", "x", "y", "--out", "z", "--batch", "0"], "greater than or equal to 1"),
])
def test_wrong_arguments_are_status_2(arguments, words, capsys):
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert words in " ".join(said.err.replace("│", " ").split()) and not said.out
    assert said.err.count("\n") <= 6


def test_a_library_of_the_study_that_is_absent_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "scipy", None)
    monkeypatch.delitem(sys.modules, "reanchor.occlusion.background", raising=False)
    assert main(["cutouts", str(tmp_path), str(tmp_path / "out")]) == 2
    assert "reanchor[study]" in capsys.readouterr().err


def in_terminal(arguments: list[str], **variables: str) -> str:
    """What a command says in a terminal of its own."""
    parent, child = pty.openpty()
    with subprocess.Popen([sys.executable, "-m", "reanchor", *arguments], cwd=ROOT, stdout=child, stderr=child,
                          env={**PLAIN, "TERM": "xterm-256color", "COLUMNS": "100", **variables}) as process:
        os.close(child)
        said = b""
        while True:
            try:
                part = os.read(parent, 65536)
            except OSError:  # its last end is closed
                break
            if not part:
                break
            said += part
        assert process.wait() == 0
    os.close(parent)
    return said.decode()


def test_colours_are_for_terminals_alone():
    assert "\x1b[1m" in in_terminal(["doctor"])
    assert "\x1b[3" not in in_terminal(["doctor"], NO_COLOR="1")
    piped = subprocess.run([sys.executable, "-m", "reanchor", "doctor"], cwd=ROOT, capture_output=True, text=True,
                           check=True, env=PLAIN).stdout
    assert "\x1b" not in piped and any(line.startswith("market1501 ") for line in piped.splitlines())


def test_completion_names_commands_and_datasets():
    def completed(words: str) -> list[str]:
        variables = {"_REANCHOR_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": "2"}
        variables["COMP_CWORD"] = str(words.count(" "))
        done = subprocess.run([sys.executable, "-m", "reanchor"], cwd=ROOT, capture_output=True, text=True,
                              env=PLAIN | variables)
        return done.stdout.split()

    assert completed("reanchor ex") == ["export"]
    assert completed("reanchor doctor market") == ["market1501"]
