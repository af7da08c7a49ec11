"""Albums as a program uses them: `facecli.Albums`, from any thread."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fakes import PaintedFace, paint, recognizer_of

from facecli import Albums, FacecliError, FaceError, LibraryError, PictureError, Recognizer
from facecli.albums import albums as module
from facecli.stores.opening import gallery_at


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder with three photos of one person and two of another."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(5):
        face = PaintedFace(plane=number // 3, angle=number % 3)
        paint(folder / f"{number}.png", face)
    return folder


@pytest.fixture
def recognizer(tmp_path: Path) -> Recognizer:
    return recognizer_of(gallery_at(tmp_path / "gallery.db"))


@pytest.fixture
def albums(tmp_path: Path, recognizer: Recognizer) -> Albums:
    return Albums(tmp_path / "photos.db", recognizer)


def test_photos_are_sorted_into_people_and_corrections_hold(albums: Albums, photos: Path) -> None:
    ada, bob = albums.sort(photos).people
    assert (len(ada.faces), len(bob.faces)) == (3, 2)
    albums.name(ada.number, "Ada")
    fresh = albums.split(ada.number, photos / "0.png")
    assert sorted(len(one.faces) for one in albums.sort(str(photos)).clusters) == [1, 2, 2]
    albums.merge(ada.number, fresh)
    albums.not_same(ada.number, bob.number)
    albums.move(bob.number, ada.number, [photos / "3.png"])
    again = {one.number: one for one in albums.sort([photos]).clusters}
    assert (again[ada.number].name, len(again[ada.number].faces)) == ("Ada", 4)
    assert "move" in albums.undo().said


def test_people_who_are_enrolled_name_their_clusters(
    albums: Albums, photos: Path, recognizer: Recognizer
) -> None:
    recognizer.enroll("Bob", photos / "3.png")
    assert [one.name for one in albums.sort(photos).people] == [None, "Bob"]


def test_any_thread_may_call(albums: Albums, photos: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        sorted_by = list(pool.map(lambda _: albums.sort(photos), range(4)))
    assert [[one.number for one in grouping.people] for grouping in sorted_by] == [[1, 2]] * 4
    with ThreadPoolExecutor(1) as pool:
        pool.submit(albums.name, 1, "Ada").result()
    assert albums.sort(photos).people[0].name == "Ada"


def test_mistakes_are_errors_of_facecli(albums: Albums, photos: Path, tmp_path: Path) -> None:
    albums.sort(photos)
    with pytest.raises(PictureError, match=r"missing\.png: no such file"):
        albums.split(1, tmp_path / "missing.png")
    with pytest.raises(FaceError, match="cluster 9: there is none"):
        albums.name(9, "Ada")
    with pytest.raises(FacecliError, match="no photos to sort"):
        albums.sort([])
    with pytest.raises(LibraryError, match="it is a folder"):
        Albums(photos)


@pytest.mark.parametrize("wrong", [{"min_photos": 0}, {"workers": 0}])
def test_values_out_of_range_are_refused(
    albums: Albums, photos: Path, wrong: dict[str, int]
) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        albums.sort(photos, min_photos=wrong.get("min_photos", 2), workers=wrong.get("workers", 1))


def test_closing_closes_only_a_recognizer_of_its_own(
    tmp_path: Path, recognizer: Recognizer, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recognizer.enroll("Bob", photos / "3.png")
    known = recognizer.known()
    with Albums(tmp_path / "photos.db", recognizer):
        pass
    assert recognizer.known() is known, "it belongs to the caller"
    monkeypatch.setattr(module, "open_recognizer", lambda: recognizer)
    with Albums(tmp_path / "photos.db"):
        pass
    assert recognizer.known() is not known
