"""The README is short and tells the truth; tests/test_docs.py checks what all pages share."""

from __future__ import annotations

from pathlib import Path

import pytest
from pages import README, ROOT, blocks

from facecli.demo import set_the_stage

TEXT = README.read_text(encoding="utf-8")
SET_UP = ["pip install '.[demo]' && facecli demo", "pip install '.[test]' && pytest"]
LARGEST = 10_000
"""Bytes: what a newcomer reads before trying."""


def test_it_is_short() -> None:
    assert len(TEXT.encode()) <= LARGEST


def test_the_first_commands_are_the_two_that_ci_runs() -> None:
    assert [block.strip() for block in blocks(TEXT, "sh")[:2]] == SET_UP
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8").replace("--quiet ", "")
    for command in SET_UP:
        assert command in ci


def test_each_recipe_is_three_lines() -> None:
    recipes = TEXT[TEXT.index("## Recipes") : TEXT.index("## What it must not be used for")]
    shown = blocks(recipes, "sh", "python")
    assert [len(list(filter(None, block.splitlines()))) for block in shown] == [3] * 7


@pytest.mark.network
def test_the_python_recipe_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import facecli

    stage = set_the_stage(tmp_path / "demo")
    monkeypatch.chdir(stage.folder)
    with facecli.open("gallery.db") as recognizer:
        recognizer.enroll("Grace Hopper", "portraits/grace.png")
    Path("takes/grace-jpeg20.jpg").rename("snapshot.jpg")
    (recipe,) = blocks(TEXT, "python")
    exec(compile(recipe, str(README), "exec"), {})
    assert capsys.readouterr().out == "[(<Status.MATCH: 'match'>, 'Grace Hopper')]\n"
