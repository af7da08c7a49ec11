"""`facecli library`: what is remembered can be seen and erased, and nothing goes without a yes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from fakes import FakeDetector, FakeEncoder, PaintedFace, paint

from facecli.albums.scanning import scan
from facecli.cli import cli
from facecli.cli.settings import MOST_WORKERS, Settings
from facecli.stores.library import Library

Run = Callable[..., Result]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "photos.db"


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    return [
        paint(tmp_path / "a" / "one\x1b[2J.png", PaintedFace(0)),
        paint(tmp_path / "b" / "two.png", PaintedFace(1), PaintedFace(2, left=220, side=90)),
    ]


@pytest.fixture
def run(path: Path, photos: list[Path]) -> Run:
    """Run `facecli library` on a library of three faces in two photos."""
    with Library(path) as library:
        list(
            scan(
                photos,
                library=library,
                detector=FakeDetector(),
                encoder=FakeEncoder(),
                workers=1,
            )
        )

    def invoke(*arguments: object, answer: str = "") -> Result:
        texts = ["library", *map(str, arguments), "--library", str(path)]
        return CliRunner().invoke(cli, texts, obj=Settings(), input=answer)

    return invoke


def count(path: Path) -> int:
    with Library(path, create=False) as library:
        return library.statistics().faces


def test_info_counts_what_is_remembered(run: Run, path: Path) -> None:
    (record,) = map(json.loads, run("info", "--json").stdout.splitlines())
    assert record.pop("size") > 1000
    assert record == {
        "schema": 1,
        "kind": "library",
        "path": str(path),
        "private": True,
        "files": 2,
        "photos": 2,
        "faces": 3,
        "models": {"fake-128": 3},
    }
    human = run("info")
    assert human.exit_code == 0
    assert "3 faces in 2 photos, 2 files" in human.stdout
    assert "fake-128: 3 embedded" in human.stdout


def test_others_who_may_read_it_are_warned_of(run: Run, path: Path) -> None:
    path.chmod(0o644)
    assert "others may read it" in run("info").stderr


def test_forget_takes_a_folder_and_leaves_the_rest(
    run: Run, path: Path, photos: list[Path]
) -> None:
    """Even if the photos are gone."""
    photos[1].unlink()
    result = run("forget", photos[1].parent, "--yes")
    assert (result.exit_code, count(path)) == (0, 1)
    assert "Forgot 2 faces of 1 photo: nothing of them is left in" in result.stdout


def test_clear_takes_everything(run: Run, path: Path) -> None:
    result = run("clear", "--json", answer="y\n")
    (record,) = map(json.loads, result.stdout.splitlines())
    assert (record["kind"], record["photos"], record["faces"]) == ("photos_forgotten", 2, 3)
    assert count(path) == 0


@pytest.mark.parametrize("command", [["clear"], ["forget", "/"]])
@pytest.mark.parametrize("answer", ["n\n", ""])
def test_nothing_goes_without_a_yes(run: Run, path: Path, command: list[str], answer: str) -> None:
    result = run(*command, answer=answer)
    assert result.exit_code == 2
    assert "for good?" in result.stderr
    assert count(path) == 3


def test_hostile_names_are_shown_and_not_obeyed(run: Run, photos: list[Path]) -> None:
    result = run("forget", photos[0], answer="n\n")
    assert "\x1b" not in result.output
    assert "\\x1b[2J" in result.stderr


@pytest.mark.parametrize("command", [["info"], ["clear", "-y"], ["forget", "x", "-y"]])
def test_a_library_that_is_not_there_is_not_made(tmp_path: Path, command: list[str]) -> None:
    missing = tmp_path / "nowhere" / "photos.db"
    result = CliRunner().invoke(
        cli, ["library", *command, "--library", str(missing)], obj=Settings()
    )
    assert result.exit_code == 2
    assert "there is none; facecli makes it when it first looks at photos" in result.stderr
    assert not missing.parent.exists()


class TestSettings:
    def test_the_option_comes_before_the_variable(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FACECLI_LIBRARY", str(tmp_path / "variable.db"))
        settings = Settings()
        assert settings.library_database == tmp_path / "variable.db"
        settings.library_path = tmp_path / "option.db"
        assert settings.library_database == tmp_path / "option.db"

    def test_else_it_lies_beside_the_gallery(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("FACECLI_LIBRARY")
        monkeypatch.delenv("FACECLI_DB", raising=False)
        settings = Settings()
        assert settings.library_database == Path(str(settings.database)).with_name("photos.db")

    def test_a_new_library_is_announced_once(
        self, path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """With the way to erase it, on stderr."""
        for expected in ("library clear", ""):
            settings = Settings()
            settings.library_path = path
            settings.library()
            settings.close()
            shown = capsys.readouterr()
            assert shown.out == ""
            assert expected in shown.err
            assert bool(shown.err) == bool(expected)

    def test_one_worker_a_core_and_a_few_at_most(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("os.cpu_count", lambda: 2)
        assert Settings().workers == 2
        monkeypatch.setattr("os.cpu_count", lambda: 64)
        assert Settings().workers == MOST_WORKERS

    def test_a_command_run_from_within_another_leaves_no_trace(self) -> None:
        """The demo looks at photos that nobody asked to be remembered."""
        inner = Settings(detector=FakeDetector(), encoder=FakeEncoder()).for_another_command(
            lambda _: None
        )
        assert inner.library().path is None
