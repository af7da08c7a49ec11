"""Rename, merge and embed over HTTP: what the commands do, and refuse, for the administrator."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_service import ADMIN, HANGING, HUNGRY, TOKEN, running
from fakes import PaintedFace, paint
from PIL import Image
from test_serve import as_photo, ask, said_by_command
from waiting import until

from facecli.server.access import Access, Refusal

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("changes")
    paint(folder / "both.png", PaintedFace(0, 6), PaintedFace(1, 6, left=220, side=100))
    paint(folder / "landscape.png")
    for name, plane in (("Ada", 0), ("Bob", 1), ("Cleo", 2), ("Kleo", 3)):
        paint(folder / f"{name}.png", PaintedFace(plane))
    return folder


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    with running(folder / "gallery.db") as (_, port):
        for name in ("Ada", "Bob", "Cleo", "Kleo"):
            photo = folder / f"{name}.png"
            assert ask(port, f"/enroll?name={name}", photo, token=ADMIN)[0] == 200
        yield port


def people(port: int) -> list[str]:
    return [one["name"] for one in ask(port, "/people")[1]]


def test_a_renamed_person_is_recognised_by_the_new_name_at_once(port: int, folder: Path) -> None:
    status, said, _ = ask(port, "/rename", {"from": "ada", "to": "Ada L."}, token=ADMIN)
    assert (status, said["kind"], said["from"], said["to"]) == (200, "renamed", "ada", "Ada L.")
    assert ask(port, "/identify", folder / "Ada.png")[1][0]["person"] == "Ada L."
    status, said, _ = ask(port, "/rename", {"from": "Ada L.", "to": "Ada"}, token=ADMIN)
    assert said_by_command(folder, "people", "rename", "Ada", "Ada") == [{**said, "from": "Ada"}]


def test_a_merged_person_is_recognised_as_the_other_at_once(port: int, folder: Path) -> None:
    status, said, _ = ask(port, "/merge", {"from": "Kleo", "into": "Cleo"}, token=ADMIN)
    assert (status, said["from"], said["into"], said["templates"]) == (200, "Kleo", "Cleo", 2)
    assert people(port) == ["Ada", "Bob", "Cleo"]
    for photo in ("Cleo.png", "Kleo.png"):
        assert ask(port, "/identify", folder / photo)[1][0]["person"] == "Cleo"


@pytest.mark.parametrize("faces", ["all", "largest"])
def test_embed_answers_with_the_records_of_the_command(port: int, folder: Path, faces: str) -> None:
    photo = folder / "both.png"
    status, said, _ = ask(port, f"/embed?faces={faces}", photo, token=ADMIN)
    assert (status, len(said)) == (200, 2 if faces == "all" else 1)
    expected = said_by_command(folder, "embed", photo, "--faces", faces)
    assert said == [as_photo(one) for one in expected]
    assert {"box", "quality", "embedding", "fingerprint"} <= set(said[0])


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("/rename", {"from": "Nobody", "to": "X"}, "no person 'Nobody'"),
        ("/rename", {"from": "Ada", "to": "bob"}, "'Bob'"),
        ("/rename", {"from": "Ada", "to": " "}, "name"),
        ("/rename", {"from": "Ada"}, "to: "),
        ("/rename", {"from": "Ada", "to": 7}, "to: "),
        ("/merge", {"from": "Nobody", "into": "Ada"}, "no person 'Nobody'"),
        ("/merge", {"from": "Ada", "into": "Nobody"}, "no person 'Nobody'"),
        ("/merge", {"from": "Ada", "into": "ADA"}, "Ada"),
        ("/merge", {"into": "Ada"}, "from: "),
        ("/embed", b"not a picture", "photo: not a picture in a known format"),
        ("/embed", b"", "photo: empty file"),
        ("/embed?faces=some", b"", "faces: "),
    ],
)
def test_what_cannot_be_done_is_refused_and_changes_nothing(
    port: int, path: str, body: Any, reason: str
) -> None:
    before = people(port)
    status, said, _ = ask(port, path, body, token=ADMIN)
    assert (status, said["kind"]) == (422, "error")
    assert reason in said["reason"]
    assert "\n" not in said["reason"]
    assert people(port) == before


def test_a_photo_without_a_face_has_no_embedding_and_says_so(port: int, folder: Path) -> None:
    status, said, _ = ask(port, "/embed", folder / "landscape.png", token=ADMIN)
    assert (status, said["reason"]) == (422, "photo: no face found")


@pytest.mark.parametrize("path", ["/rename", "/merge", "/embed"])
def test_another_site_or_an_ordinary_token_is_refused(port: int, path: str) -> None:
    assert ask(port, path, b"{}", token=TOKEN)[0] == 401
    assert ask(port, path, b"{}", token=ADMIN, Origin="https://evil.example")[0] == 403
    assert ask(port, path, b"{}", token=ADMIN, Host="evil.example")[0] == 421
    without = Access(token=TOKEN.encode(), admin=None, loopback=False)
    headers = {b"authorization": f"Bearer {TOKEN}".encode()}
    expected = Refusal(403, "the service was started without --admin-token-file")
    assert without.refusal(path, headers) == expected


def test_a_gallery_that_fails_is_not_the_clients_mistake(port: int, folder: Path) -> None:
    database = folder / "gallery.db"
    whole = database.read_bytes()
    database.write_bytes(b"Dear diary" * 1000)
    try:
        statuses = [
            ask(port, "/rename", {"from": "Ada", "to": "X"}, token=ADMIN)[0],
            ask(port, "/merge", {"from": "Ada", "into": "Bob"}, token=ADMIN)[0],
            ask(port, "/embed", folder / "Ada.png", token=ADMIN)[0],  # needs no gallery
        ]
    finally:
        database.write_bytes(whole)
    assert statuses == [503, 503, 200]


def test_a_hostile_photo_to_embed_is_ended_and_the_next_is_answered(tmp_path: Path) -> None:
    """It is decoded where `/identify` decodes: in a process that is ended and replaced."""
    good = paint(tmp_path / "good.png", PaintedFace(0))
    with running(tmp_path / "g.db", "hostile") as (_, port):
        assert ask(port, "/embed", good, token=ADMIN)[0] == 200
        for width, expected in ((HUNGRY, 422), (HANGING, 503)):
            Image.new("RGB", (width, 300)).save(tmp_path / "bad.png")
            status, said, _ = ask(port, "/embed", tmp_path / "bad.png", token=ADMIN)
            assert (status, said["kind"]) == (expected, "error")
            until(lambda: ask(port, "/embed", good, token=ADMIN)[0] == 200)
