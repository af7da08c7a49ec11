"""The README tells the truth: its commands exist, its reference is the program's own help."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from cogapp import Cog

from facecli.cli import cli
from facecli.cli.cluster import DEFAULT

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8")
SET_UP = ["pip install '.[demo]' && facecli demo", "pip install '.[test]' && pytest"]


def shell_blocks() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


def test_generated_parts_are_up_to_date(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """If this fails: cog -r README.md."""
    monkeypatch.setenv("XDG_DATA_HOME", "/nonexistent")  # a user's own models do not count
    assert Cog().main(["cog", "--check", str(README)]) == 0, capsys.readouterr().out


def test_the_first_commands_are_the_two_that_ci_runs() -> None:
    assert [block.strip() for block in shell_blocks()[:2]] == SET_UP
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8").replace("--quiet ", "")
    for command in SET_UP:
        assert command in ci


def commands_shown() -> Iterator[list[str]]:
    """Yield the words after `facecli` of every command in a shell block, without comments."""
    for line in "\n".join(shell_blocks()).replace("\\\n", " ").splitlines():
        for part in re.split(r"&&|\|\|?", line):
            words = shlex.split(part, comments=True)
            if words and words[0] == "facecli":
                yield words[1:]


@pytest.mark.parametrize("words", list(commands_shown()), ids=" ".join)
def test_every_command_shown_exists_with_its_options(words: list[str]) -> None:
    command: click.Command = cli
    known = {option for param in cli.params for option in param.opts}
    for word in words:
        if isinstance(command, click.Group) and not word.startswith("-"):
            below = command.get_command(click.Context(command), word)
            if below is None and command.name == "cluster":
                below = command.get_command(click.Context(command), DEFAULT)
            assert below is not None, word
            command = below
            known |= {option for param in command.params for option in param.opts}
        elif word.startswith("-") and word != "-":
            assert word in known
