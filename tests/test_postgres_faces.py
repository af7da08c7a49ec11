"""Real people in a file and on a server: other photos of them get the same answers from both."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest

from facecli.recognition.identify import Identification
from facecli.recognition.moving import copy_gallery
from facecli.recognition.opening import open_recognizer

pytest.importorskip("psycopg")
from postgres_server import new_address

pytestmark = [pytest.mark.faces, pytest.mark.slow]

PEOPLE = 50
"""Of LFW's development people with two photos or more: so few that ONNX Runtime embeds them all."""


def test_decisions_are_identical(faces: Path, tmp_path: Path) -> None:
    photos = defaultdict(list)
    for photo in sorted((faces / "dev" / "lfw" / "images").rglob("*.jpg")):
        photos[photo.stem.rpartition("_")[0]].append(photo)
    chosen = {name: found for name, found in photos.items() if len(found) > 1}
    people = dict(list(chosen.items())[:PEOPLE])
    file, there = open_recognizer(tmp_path / "a.db"), open_recognizer(new_address().url)
    first = {name: found[0] for name, found in people.items()}
    file.enroll_all(first, largest=True, allow_look_alikes=True)
    with file.place.open() as source, there.place.open(create=True) as target:
        copy_gallery(source, target)
    pictures = list(file.embed([photo for found in people.values() for photo in found[1:]]))
    expected = list(map(plain, file.answers(pictures, file.snapshot())))
    assert list(map(plain, there.answers(pictures, there.snapshot()))) == expected
    assert len(expected) >= PEOPLE


def plain(answer: Identification) -> Identification:
    """Return an answer without the numbers that each gallery gives its people."""
    candidates = tuple(replace(one, person_id=0) for one in answer.candidates)
    return replace(answer, candidates=candidates)
