"""Real group photos become albums: people once a photo, and named from their enrolled portraits."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import networks_of

from facecli.albums.grouping import Grouping
from facecli.albums.naming import Namer
from facecli.albums.scanning import scan
from facecli.albums.sorting import group
from facecli.recognition.enroll import examine, judge, store
from facecli.recognition.identify import default_gap
from facecli.recognition.roster import named_photos
from facecli.stores.gallery.sqlite.store import SqliteGallery
from facecli.stores.library import Library
from facecli.stores.library.clusters import AlbumStore
from facecli.types import Detector, Encoder

pytestmark = [pytest.mark.faces, pytest.mark.network]

SEEN = {
    "bbt1": {"howard", "leonard", "raj", "sheldon"},
    "bbt2": {"howard", "leonard", "raj", "sheldon"},
    "bbt3": {"howard", "leonard", "penny", "raj", "sheldon"},
    "bbt4": {"amy", "bernadette", "howard", "leonard", "penny", "raj", "sheldon"},
    "bbt5": {"howard", "leonard", "penny", "raj", "sheldon"},
}
"""Who can be seen in each group photo; the eighth of those enrolled is in none."""


@pytest.fixture(scope="module")
def grouping(faces: Path, real_detector: Detector, real_encoder: Encoder) -> Grouping:
    """Enroll the eight from one small grey crop each, then cluster the five group photos."""
    folder = faces / "photos" / "bbt"
    card = real_encoder.card
    requests = [
        request
        for person in sorted(folder.iterdir())
        if person.name != "group"
        for request in named_photos(person.name, [person / f"{person.name}1.png"], None)
    ]
    with SqliteGallery.memory() as gallery, Library.memory() as library:
        examined = examine(requests, networks_of(real_detector, real_encoder).embed, largest=True)
        store(judge(examined, gallery, card, threshold=card.threshold), gallery, card)
        assert len(gallery.people()) == 8
        pictures = scan(
            sorted((folder / "group").iterdir()),
            library=library,
            detector=real_detector,
            encoder=real_encoder,
            workers=1,
        )
        namer = Namer(gallery.matrix(card), card.threshold, default_gap(card.threshold))
        return group(
            list(pictures),
            store=AlbumStore(library),
            threshold=card.threshold,
            rates=card.thresholds,
            namer=namer,
        )


def test_nobody_is_in_a_photo_twice(grouping: Grouping) -> None:
    places = [(face.source, one.number) for one in grouping.clusters for face in one.faces]
    named = [(face.source, one.name) for one in grouping.people for face in one.faces if one.name]
    assert len(places) == len(set(places)) >= 20
    assert len(named) == len(set(named))


def test_everyone_who_is_visible_is_named_and_nobody_wrongly(grouping: Grouping) -> None:
    named: dict[str, set[str]] = {photo: set() for photo in SEEN}
    for one in grouping.clusters:
        for face in one.faces:
            if one.name is not None:
                named[Path(face.source).stem].add(one.name)
    assert all(named[photo] <= SEEN[photo] for photo in SEEN), named
    assert set().union(*named.values()) == set().union(*SEEN.values())
    assert sum(map(len, named.values())) >= 20
