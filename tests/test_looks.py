"""A file is searched once, whichever command looks at it first, and forgotten when asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from fakes import FakeDetector, FakeEncoder, PaintedFace, paint

from facecli.cli import cli
from facecli.cli.settings import Settings
from facecli.cli.train import _acquire
from facecli.faces.acquisition import acquire
from facecli.faces.chips import DLIB_GEOMETRY, geometry_at
from facecli.faces.images import EncodedPicture
from facecli.stores.library import Library
from facecli.stores.library.looks import PhotoMemory, forget_looks
from facecli.types import Acquisition, Failure

pytestmark = pytest.mark.base

VERSION = "finder-1"


@pytest.fixture
def library() -> Iterator[Library]:
    with Library.memory() as library:
        yield library


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder of people, one of whom has a photo with somebody else, and a landscape."""
    folder = tmp_path / "photos"
    paint(folder / "Ada.png", PaintedFace(0))
    paint(folder / "Bob.png", PaintedFace(1), PaintedFace(2, left=220, side=90))
    paint(folder / "Nobody.png")
    return folder


@pytest.fixture
def remembered(tmp_path: Path) -> Path:
    return tmp_path / "data" / "photos.db"


Searches = Callable[..., tuple[Result, int]]


@pytest.fixture
def run(tmp_path: Path, remembered: Path) -> Searches:
    """Run a command by itself; return its result and how often the detector was asked."""

    def invoke(*arguments: object) -> tuple[Result, int]:
        detector = FakeDetector()
        settings = Settings(detector=detector, encoder=FakeEncoder())
        shared = ["--db", str(tmp_path / "gallery.db"), "--library", str(remembered)]
        result = CliRunner().invoke(cli, [*map(str, arguments), *shared], obj=settings)
        settings.close()
        return result, detector.seen

    return invoke


def statistics(path: Path) -> tuple[int, int, int]:
    with Library(path, create=False) as library:
        found = library.statistics()
    return found.files, found.photos, found.faces


def found(
    sources: list[Path | EncodedPicture], memory: PhotoMemory | None, size: int = 150
) -> tuple[list[Acquisition | Failure], int]:
    detector = FakeDetector()
    results = list(acquire(sources, detector, geometry_at(size), memory=memory))
    return results, detector.seen


def plain(result: Acquisition | Failure) -> object:
    """Return all of a result in a form that can be compared."""
    if isinstance(result, Failure):
        return result
    return replace(result, chips=()), [chip.tobytes() for chip in result.chips]


# The memory


def test_what_is_recalled_is_what_is_found(photos: Path, library: Library) -> None:
    paths: list[Path | EncodedPicture] = [*sorted(photos.iterdir()), photos / "missing.png"]
    fresh, _ = found(paths, None)
    first, searched = found(paths, PhotoMemory(library, VERSION))
    again, searched_again = found(paths, PhotoMemory(library, VERSION))
    assert (searched > 0, searched_again) == (True, 0)
    assert list(map(plain, first)) == list(map(plain, again)) == list(map(plain, fresh))


def test_chips_of_another_size_need_no_search(photos: Path, library: Library) -> None:
    paths: list[Path | EncodedPicture] = [*sorted(photos.iterdir())]
    found(paths, PhotoMemory(library, VERSION))
    small, searched = found(paths, PhotoMemory(library, VERSION), 112)
    assert searched == 0
    assert list(map(plain, small)) == list(map(plain, found(paths, None, 112)[0]))


def test_another_version_of_the_search_knows_nothing(photos: Path, library: Library) -> None:
    paths: list[Path | EncodedPicture] = [photos / "Ada.png"]
    found(paths, PhotoMemory(library, VERSION))
    assert found(paths, PhotoMemory(library, "finder-10"))[1] > 0


def test_pictures_that_are_no_files_are_not_remembered(photos: Path, library: Library) -> None:
    """They have no path by which they could be forgotten."""
    data = EncodedPicture((photos / "Ada.png").read_bytes(), "-")
    found([data], PhotoMemory(library, VERSION))
    assert library.statistics().photos == 0
    found([photos / "Ada.png"], PhotoMemory(library, VERSION))
    assert found([data], PhotoMemory(library, VERSION))[1] == 0


def test_a_search_left_early_keeps_what_it_saw(photos: Path, library: Library) -> None:
    memory = PhotoMemory(library, VERSION)
    running = acquire(sorted(photos.iterdir()), FakeDetector(), DLIB_GEOMETRY, memory=memory)
    next(running)
    running.close()  # type: ignore[attr-defined]
    assert library.statistics().photos >= 1


def test_what_is_damaged_is_looked_at_again(photos: Path, library: Library) -> None:
    paths: list[Path | EncodedPicture] = [photos / "Ada.png"]
    found(paths, PhotoMemory(library, VERSION))
    with library.writing() as database:
        database.execute("UPDATE look SET notes = 'no JSON'")
    results, searched = found(paths, PhotoMemory(library, VERSION))
    assert searched > 0
    assert isinstance(results[0], Acquisition)
    assert found(paths, PhotoMemory(library, VERSION))[1] == 0


def test_a_memory_that_fails_stops_nothing(photos: Path, tmp_path: Path) -> None:
    library = Library(tmp_path / "photos.db")
    with library.writing() as database:
        database.execute("DROP TABLE look")
    results, searched = found([photos / "Ada.png"], PhotoMemory(library, VERSION))
    assert searched > 0
    assert isinstance(results[0], Acquisition)
    library.close()


def test_neither_embeddings_nor_pictures_of_faces_are_kept(photos: Path, library: Library) -> None:
    found([*photos.iterdir()], PhotoMemory(library, VERSION))
    with library.reading() as connection:
        for table in ("chip", "embedding", "face"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def test_what_is_remembered_is_counted_and_forgotten(photos: Path, library: Library) -> None:
    found([*photos.iterdir()], PhotoMemory(library, VERSION))
    assert library.statistics().photos == 3
    assert library.statistics().faces == 3
    receipt = library.forget([photos / "Bob.png"])
    assert (receipt.photos, receipt.faces) == (1, 2)
    assert library.clear().faces == 1
    assert (library.statistics().photos, library.statistics().files) == (0, 0)
    assert found([photos / "Ada.png"], PhotoMemory(library, VERSION))[1] > 0


def test_looks_may_be_forgotten_by_the_hash_of_the_photo(photos: Path, library: Library) -> None:
    (ada, *_), _ = found([photos / "Ada.png", photos / "Bob.png"], PhotoMemory(library, VERSION))
    assert isinstance(ada, Acquisition)
    assert forget_looks(library, {ada.sha256}) == 0
    assert (library.statistics().photos, library.statistics().files) == (1, 1)


# The commands


def test_a_dry_run_then_the_enrollment_search_once(run: Searches, photos: Path) -> None:
    dry, searched = run("enroll", "--from", photos, "--largest", "--dry-run", "--json")
    real, searched_again = run("enroll", "--from", photos, "--largest", "--json")
    assert (searched > 0, searched_again) == (True, 0)
    lines = [json.loads(line) for line in dry.stdout.splitlines()]
    assert [{**one, "dry_run": False} for one in lines] == [
        json.loads(line) for line in real.stdout.splitlines()
    ]
    assert "where faces are in photos is remembered in" in dry.stderr
    assert real.stderr == f"{photos}: 3 photos of 3 people\n"


@pytest.mark.parametrize("first", ["enroll", "embed", "cluster", "train"])
@pytest.mark.parametrize("then", ["enroll", "embed", "cluster", "train"])
def test_commands_share_what_was_found(
    run: Searches, photos: Path, remembered: Path, first: str, then: str
) -> None:
    def searches(command: str) -> int:
        if command == "train":
            detector = FakeDetector()
            settings = Settings(detector=detector)
            settings.library_path = remembered
            list(_acquire(settings)(sorted(photos.iterdir()), geometry_at(112)))
            settings.close()
            return detector.seen
        arguments = {
            "enroll": ("enroll", "--from", photos, "--dry-run"),
            "embed": ("embed", photos),
            "cluster": ("cluster", photos),
        }[command]
        return run(*arguments)[1]

    assert searches(first) > 0
    assert searches(then) == 0


def test_clusters_are_the_same_after_another_command(
    run: Searches, photos: Path, tmp_path: Path, remembered: Path
) -> None:
    run("embed", photos)
    assert statistics(remembered) == (3, 3, 3)
    after, _ = run("cluster", photos, "--json")
    assert statistics(remembered) == (3, 3, 3)
    remembered.unlink()
    alone, searched = run("cluster", photos, "--json")
    assert searched > 0
    assert after.stdout == alone.stdout


def test_embeddings_are_the_same_from_a_search_and_from_memory(run: Searches, photos: Path) -> None:
    first, _ = run("embed", photos)
    again, searched = run("embed", photos)
    assert searched == 0
    assert first.stdout == again.stdout


def test_verify_and_identify_remember_nothing(
    run: Searches, photos: Path, remembered: Path
) -> None:
    run("enroll", "Ada", photos / "Ada.png")
    before = statistics(remembered)
    run("verify", photos / "Bob.png", "person:Ada")
    CliRunner().invoke(cli, ["identify", str(photos)], obj=Settings(detector=FakeDetector()))
    assert statistics(remembered) == before == (1, 1, 1)


def test_a_library_that_cannot_be_used_stops_nobody(
    run: Searches, photos: Path, remembered: Path
) -> None:
    remembered.parent.mkdir()
    remembered.write_bytes(b"something else" * 100)
    result, _ = run("enroll", "Ada", photos / "Ada.png")
    assert result.exit_code == 0
    assert "not remembered for the next time: " in result.stderr
    assert remembered.read_bytes().startswith(b"something else")


def test_to_forget_a_person_erases_what_enrolling_left(
    run: Searches, photos: Path, remembered: Path
) -> None:
    run("enroll", "Ada", photos / "Ada.png")
    run("enroll", "Bob", photos / "Bob.png", "--largest")
    result, _ = run("people", "forget", "Ada", "--yes")
    assert (result.exit_code, "photo library" in result.stderr) == (0, False)
    assert statistics(remembered) == (1, 1, 2)


def test_to_forget_a_person_tells_of_faces_that_are_left(
    run: Searches, photos: Path, remembered: Path
) -> None:
    run("cluster", photos)
    run("enroll", "Ada", photos / "Ada.png")
    result, _ = run("people", "forget", "Ada", "--yes")
    assert result.exit_code == 0
    assert "1 of these photos is still in the photo library, with the faces" in result.stderr
    assert statistics(remembered) == (3, 3, 3)


def test_to_forget_a_person_makes_no_library(run: Searches, photos: Path, remembered: Path) -> None:
    run("enroll", "Ada", photos / "Ada.png")
    remembered.unlink()
    assert run("people", "forget", "Ada", "--yes")[0].exit_code == 0
    assert not remembered.exists()
