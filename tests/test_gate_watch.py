"""The gate's view of the gallery: changes by others are seen, and trouble forgets nobody."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from fakes import embedding, fake_card, new_template, recognizer_of
from waiting import PATIENT, until

from facecli.errors import FingerprintMismatch, GalleryError
from facecli.gate.engine import Gate
from facecli.recognition import live as module
from facecli.recognition.live import LivePeople, PeopleReader
from facecli.stores.contract import GalleryStore
from facecli.stores.gallery.sqlite.store import SqliteGallery
from facecli.stores.opening import GalleryFile, gallery_at

CARD = fake_card()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    place = tmp_path / "gallery.db"
    with SqliteGallery(place) as gallery:
        gallery.add([new_template("Ada", embedding(0, 0))], CARD)
    return place


def reader_of(path: Path) -> PeopleReader:
    return PeopleReader(gallery_at(path), lambda: CARD)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def watch(path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch) -> LivePeople:
    monkeypatch.setattr(module, "EVERY", 0.0)
    return LivePeople(reader_of(path), say=said.append)


def names(watch: LivePeople) -> set[str]:
    return set(watch.known().matrix.names.values())


def test_the_same_object_comes_back_until_something_changes(watch: LivePeople, path: Path) -> None:
    before = watch.known()
    assert watch.known() is before
    with SqliteGallery(path) as gallery:
        gallery.add([new_template("Bob", embedding(1, 0))], CARD)
    assert watch.known() is not before
    assert names(watch) == {"Ada", "Bob"}


def test_another_process_that_forgets_someone_is_seen_within_a_second(path: Path) -> None:
    """With the real interval: this is the promise itself."""
    watch = LivePeople(reader_of(path))
    assert names(watch) == {"Ada"}
    code = "from facecli.stores.opening import gallery_at\n"
    code += f"with gallery_at({str(path)!r}).open() as gallery: gallery.forget(['Ada'])"
    subprocess.run([sys.executable, "-c", code], check=True)
    changed = time.monotonic()
    until(lambda: not names(watch))
    busy = os.getloadavg()[0] / (os.cpu_count() or 1)
    assert time.monotonic() - changed < max(1.0, 10 * busy), "a forgotten person is still known"


def test_the_waits_keep_the_promise_of_a_second() -> None:
    assert module.EVERY + module.LOOK_SECONDS < module.WITHIN == 1.0


def test_the_last_person_of_this_model_is_forgotten_although_other_models_remain(
    watch: LivePeople, path: Path
) -> None:
    """A gallery that holds other models only is refused at the start, and empty afterwards."""
    other = fake_card("other-128")
    with SqliteGallery(path) as gallery:
        gallery.add([new_template("Eve", embedding(2, 0))], other)
        gallery.forget(["Ada"])
    assert names(watch) == set()
    with pytest.raises(FingerprintMismatch):
        LivePeople(reader_of(path))


def test_a_gallery_that_goes_away_is_said_once_and_everyone_stays_known(
    watch: LivePeople, path: Path, said: list[str]
) -> None:
    path.rename(path.with_suffix(".away"))
    for _ in range(3):
        assert names(watch) == {"Ada"}
    assert len(said) == 1
    assert "there is none" in said[0]
    path.with_suffix(".away").rename(path)
    assert names(watch) == {"Ada"}
    assert said[1:] == ["the gallery can be read again"]


def test_a_gate_of_a_program_writes_the_trouble_to_the_log_once(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVERY", 0.0)
    gate = Gate(recognizer_of(gallery_at(path)))
    path.rename(path.with_suffix(".away"))
    for number in range(3):
        gate.feed(None, at=float(number))
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("facecli.gate", "WARNING")
    assert "going on with who was enrolled before" in record.getMessage()


def test_a_locked_gallery_does_not_hold_the_gate_up(
    watch: LivePeople, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write lock does not hurt readers; a lock of everything costs a moment, once."""
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(module, "WITHIN", 10 * PATIENT)  # what is known is never too old here
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    began = time.monotonic()
    for _ in range(10):
        assert names(watch) == {"Ada"}
    assert time.monotonic() - began < 30, "each look waited for the lock"
    assert "gallery" in {thread.name for thread in threading.enumerate()}, "nothing was locked"
    holder.close()


def test_after_a_pause_a_slow_look_is_waited_for(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody forgotten while nothing was asked never matches again, slow as reading may be."""
    monkeypatch.setattr(module, "WITHIN", 0.1)
    monkeypatch.setattr(module, "EVERY", 0.05)
    monkeypatch.setattr(module, "LONGEST", PATIENT)
    slow = False

    class SlowGallery(GalleryFile):
        def open(self, *, create: bool = False) -> AbstractContextManager[GalleryStore]:
            time.sleep(0.5 if slow else 0)
            return super().open(create=create)

    watch = LivePeople(PeopleReader(SlowGallery(path), lambda: CARD))
    with SqliteGallery(path) as gallery:
        gallery.forget(["Ada"])
    slow = True
    time.sleep(0.15)
    assert names(watch) == set()


def test_no_gallery_at_the_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(GalleryError):
        LivePeople(reader_of(tmp_path / "none.db"))
