"""Names of enrolled people in a shell: quick, silent, and in the form that the shell inserts."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from fakes import embedding, fake_card, new_template
from test_imports import modules_after

from facecli.stores.gallery.sqlite.store import SqliteGallery

pytestmark = pytest.mark.base

NAMES = ["Ada Lovelace", "ada o'neil", "Bob", "王小明", "Zoë: $HOME *"]


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    path = tmp_path / "gallery.db"
    with SqliteGallery(path) as gallery:
        gallery.add(
            [new_template(name, embedding(place, 0)) for place, name in enumerate(NAMES)],
            fake_card(),
        )
    return path


def completed(words: str, gallery: Path, *, shell: str = "zsh") -> list[str]:
    """Return what a shell is offered for the last word, which may be empty."""
    listed = words.split(" ")
    environment = {
        **os.environ,
        "FACECLI_DB": str(gallery),
        "_FACECLI_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(listed) - 1),
    }
    done = subprocess.run(
        [sys.executable, "-m", "facecli"], env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    if shell == "bash":
        return [line.partition(",")[2] for line in lines]
    return lines[1::3]


@pytest.mark.parametrize(
    "words",
    [
        "facecli people show AD",
        "facecli people forget Bob ad",
        "facecli people merge ad",
        "facecli people merge Bob ad",
        "facecli people rename ad",
        "facecli people set-id ad",
        "facecli enroll ad",
    ],
)
def test_names_are_offered_where_a_person_is_meant(words: str, gallery: Path) -> None:
    assert completed(words, gallery) == NAMES[:2]


def test_the_gallery_is_that_of_the_command_line(gallery: Path, tmp_path: Path) -> None:
    for words in (f"facecli --db {gallery} people show B", f"facecli people show --db {gallery} B"):
        assert completed(words, tmp_path / "none.db") == ["Bob"]


def test_bash_gets_a_word_that_needs_no_quotes(gallery: Path) -> None:
    """Click's script takes one backslash of two."""
    assert completed("facecli people show a", gallery, shell="bash") == [
        r"Ada\\ Lovelace",
        r"ada\\ o\\'neil",
    ]
    assert completed("facecli people show Z", gallery, shell="bash") == [r"Zoë\\:\\ \\$HOME\\ \\*"]
    assert completed('facecli people show "Ada', gallery, shell="bash") == NAMES[:2]


def test_a_side_of_verify_is_a_person_or_a_file(gallery: Path) -> None:
    assert completed("facecli verify person:b", gallery) == ["person:Bob"]
    assert completed("facecli verify a.jpg person:b", gallery) == ["person:Bob"]
    assert completed("facecli verify a.j", gallery) == ["a.j"]


@pytest.mark.parametrize("trouble", ["none", "no database", "foreign", "folder", "locked"])
def test_trouble_is_silent_and_makes_nothing(trouble: str, gallery: Path, tmp_path: Path) -> None:
    path = tmp_path / "other" / "gallery.db"
    path.parent.mkdir()
    if trouble == "no database":
        path.write_text("no database" * 100)
    elif trouble == "folder":
        path.mkdir()
    elif trouble == "foreign":
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE person (x)")
    elif trouble == "locked":
        holder = sqlite3.connect(gallery)
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        holder.execute("DELETE FROM person WHERE name = 'Bob'")
        path = gallery
    before = sorted(path.parent.iterdir())
    assert completed("facecli people show a", path) == []
    assert sorted(path.parent.iterdir()) == before


def test_a_mistyped_command_is_silent(gallery: Path) -> None:
    assert completed("facecli peple show a", gallery) == []
    assert completed("facecli people shwo a", gallery) == []


def test_nothing_heavy_is_imported(gallery: Path) -> None:
    loaded = modules_after(
        f"import os\nos.environ['FACECLI_DB'] = {str(gallery)!r}\n"
        "import click\nfrom facecli.cli.completion import complete_name\n"
        "from facecli.cli.people import people, show\n"
        "context = click.Context(show)\n"
        "assert len(complete_name(context, show.params[0], 'b')) == 1"
    )
    assert not loaded & {"torch", "numpy", "PIL", "sqlite_utils", "sklearn", "scipy"}
