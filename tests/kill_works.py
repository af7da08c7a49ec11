"""What is killed by `killing`: enrolling, naming clusters, training, and deciding at a gate."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fakes import PaintedFace, embedding, fake_card, new_template, paint
from killing import Process, Words
from safetensors.numpy import load_file
from synthetic import write_people

from facecli.models.checkpoints import read_tensors
from facecli.stores.database import Store
from facecli.stores.decisions import DecisionLog
from facecli.stores.gallery.sqlite.store import SqliteGallery
from facecli.stores.library import Library
from facecli.stores.library.clusters import AlbumStore

PEOPLE = 10


def assert_sound(store: Store) -> None:
    """Check the pages of a database and the references between its rows."""
    with store.reading() as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def assert_library_sound(path: Path) -> None:
    if path.exists():
        with Library(path) as library:
            assert_sound(library)


def people_of(path: Path) -> list[tuple[str, bytes]]:
    """Return name and embedding of each template in a gallery, in order."""
    with SqliteGallery(path) as gallery:
        assert gallery.integrity_check() == []
        assert_sound(gallery)
        if not gallery.people():
            return []
        matrix = gallery.matrix(fake_card())
        owners = [matrix.names[int(one)] for one in matrix.person_ids]
    rows = zip(owners, matrix.embeddings, strict=True)
    return sorted((name, row.tobytes()) for name, row in rows)


def photos_of_people(folder: Path) -> None:
    """Paint two photos of each person, in a folder for each."""
    for plane in range(PEOPLE):
        for angle in (0, 3):
            paint(folder / f"Person {plane}" / f"{angle}.png", PaintedFace(plane, angle))


class Enrolling:
    """`enroll --from`: everyone is stored, or nobody."""

    uses: tuple[str, ...] = ("facecli.cli.enroll", "facecli.recognition.recognizer", "sqlite_utils")

    def begin(self, place: Path) -> None:
        photos_of_people(place / "people")

    def commands(self, place: Path) -> list[Words]:
        stores = ("--db", place / "gallery.db", "--library", place / "photos.db")
        return [("enroll", "--from", place / "people", "--json", *stores)]

    def check(self, place: Path, lines: Sequence[str]) -> None:
        assert_library_sound(place / "photos.db")
        stored = len(people_of(place / "gallery.db")) if (place / "gallery.db").exists() else 0
        assert stored in ((2 * PEOPLE,) if lines else (0, 2 * PEOPLE))

    def result(self, place: Path) -> object:
        return people_of(place / "gallery.db")


class Naming:
    """Names and corrections of clusters, each whole or not at all, then sidecars and an export."""

    uses: tuple[str, ...] = (
        "facecli.cli.cluster.photos",
        "facecli.albums.photos",
        "facecli.albums.xmp",
    )

    STEPS: tuple[Words, ...] = (
        *(("name", number, f"Name {number}") for number in range(1, 6)),
        ("merge", 6, 7),
        ("name", 6, "Name 6"),
        ("not-same", 8, 9),
        ("undo",),
        ("split", 1, "0.png"),
        ("name", 2, "Other 2"),
        ("undo",),
        ("merge", 8, 9, 10),
    )

    def __init__(self, folder: Path) -> None:
        """Take every step once, in a folder of its own, and note the state before and after it."""
        self._done: dict[Path, int] = {}
        self.begin(folder)
        self._states = [library_state(folder / "photos.db")]
        for step in range(len(self.STEPS) + 1):
            commands = self.commands(folder)[step : step + 1]
            errors = folder.with_suffix(".errors")
            assert Process(commands, errors).ended().code == 0, errors.read_text()
            self._states.append(library_state(folder / "photos.db"))

    def begin(self, place: Path) -> None:
        photos_of_people(place / "photos")
        self._done[place] = 0

    def commands(self, place: Path) -> list[Words]:
        """Sort again, and take the steps that are not done, acknowledged or not."""
        stores = ("--library", place / "photos.db", "--json")
        photos = ("cluster", place / "photos", *stores, "--db", place / "gallery.db")
        steps = self.STEPS[max(0, self._done[place] - 1) :]
        corrections = [("cluster", *self._typed(place, words), *stores) for words in steps]
        return [photos, *corrections, (*photos, "--xmp", "--export", place / "out")]

    def _typed(self, place: Path, words: Words) -> Words:
        """Return a step with the path of its photo."""
        photo = place / "photos" / "Person 0" / "0.png"
        return [photo if word == "0.png" else word for word in words]

    def check(self, place: Path, lines: Sequence[str]) -> None:
        """Check that what was acknowledged is done, at most one step more, and none in part."""
        assert_library_sound(place / "photos.db")
        said = [json.loads(line)["kind"] for line in lines]
        done = max(self._done[place], int("clustering" in said)) + said.count("cluster_correction")
        state = library_state(place / "photos.db")
        reached = [one for one in (done, done + 1) if self._states[one : one + 1] == [state]]
        assert reached, (done, state)
        self._done[place] = reached[0]

    def result(self, place: Path) -> object:
        sidecars = {path.name: path.read_bytes() for path in (place / "photos").rglob("*.xmp")}
        links = {
            str(path.relative_to(place)): path.readlink()
            for path in (place / "out").rglob("*")
            if path.is_symlink()
        }
        manifest = (place / "out" / ".facecli-export.json").read_bytes()
        return library_state(place / "photos.db"), sidecars, links, manifest


def library_state(path: Path) -> object:
    """Return who is in which cluster, the names, and the corrections that hold."""
    if not path.exists():
        return {}, {}, []
    with Library(path) as library:
        store = AlbumStore(library)
        members = {one.sha256: one.identity for one in store.sightings()}
        return members, store.names(), [one.said for one in store.corrections()]


class Training:
    """`train`: a state that was saved is never lost, and the model is the same in the end."""

    uses: tuple[str, ...] = (
        "facecli.cli.train",
        "facecli.training.session",
        "matplotlib.backends.backend_agg",
    )

    CONFIG = """
        steps = 4
        people = 3
        photos = 2
        others = 2
        warm_up = 2
        validate_every = 1
        learning_rate = 1e-5
        ema = 0.5
        seed = 3
        frozen = ["trunk.stem", "trunk.stages.0", "trunk.stages.1", "trunk.stages.2"]
    """

    def __init__(self, folder: Path) -> None:
        self._people = write_people(folder / "people", 8, 2)
        self._config = folder / "config.toml"
        self._config.write_text(self.CONFIG)

    def begin(self, place: Path) -> None:
        """Nothing: the photos are read only."""

    def commands(self, place: Path) -> list[Words]:
        how = ("--chips", "--config", self._config, "--resume", "--json")
        out = ("--out", place / "m.safetensors", "--library", place / "photos.db")
        return [("train", self._people, *how, *out)]

    def check(self, place: Path, lines: Sequence[str]) -> None:
        said = [json.loads(line) for line in lines]
        acknowledged = max((one.get("step", 0) for one in said), default=0)
        state = place / "m.run" / "state.safetensors"
        saved = int(read_tensors(state)[1]["step"]) if state.exists() else 0
        assert saved >= acknowledged, (saved, acknowledged)
        if (place / "m.safetensors").exists():
            read_tensors(place / "m.safetensors")
        else:
            assert "training" not in [one["kind"] for one in said]

    def result(self, place: Path) -> object:
        log = (place / "m.run" / "log.jsonl").read_text().splitlines()
        weights = load_file(place / "m.safetensors")
        tensors = {name: value.tobytes() for name, value in sorted(weights.items())}
        losses = [(one["step"], one["loss"]) for one in map(json.loads, log)]
        return hashlib.sha256(repr((tensors, losses)).encode()).hexdigest()


class Deciding:
    """`identify --source FOLDER`, then `log prune`: the chain holds, with all that was said."""

    uses: tuple[str, ...] = ("facecli.cli.gate", "facecli.gate.engine", "facecli.cli.log")

    OLD = 30

    def begin(self, place: Path) -> None:
        self._decided = 0
        self._pruned = False
        for number in range(PEOPLE):
            paint(place / "seen" / f"{number:02}.png", PaintedFace(number % 4))
        with SqliteGallery(place / "gallery.db") as gallery:
            enrolled = [new_template(f"Person {plane}", embedding(plane, 0)) for plane in range(3)]
            gallery.add(enrolled, fake_card())
        with DecisionLog(place / "log.db") as log:
            log.append(
                [{"time": f"2020-01-01T00:00:{one:02}.000+00:00"} for one in range(self.OLD)]
            )

    def commands(self, place: Path) -> list[Words]:
        log = ("--log", place / "log.db")
        gate = ("identify", "--source", place / "seen", "--db", place / "gallery.db")
        all_of_them = (*gate, "--cooldown", 0, "--json", *log)
        return [all_of_them, ("log", "prune", "--older-than", 1, "--yes", "--json", *log)]

    def check(self, place: Path, lines: Sequence[str]) -> None:
        said = [json.loads(line) for line in lines]
        events = [one for one in said if one["kind"] == "gate_event"]
        stored = self._stored(place)
        assert len(stored) - self._decided in (len(events), len(events) + 1)
        for told, kept in zip(events, stored[self._decided :], strict=False):
            assert {name: kept[name] for name in told} == told
        self._decided = len(stored)
        with DecisionLog(place / "log.db") as log:
            erased = log.verify().erased
        self._pruned |= "log_pruned" in [one["kind"] for one in said]
        assert erased in ((self.OLD,) if self._pruned else (0, self.OLD))

    def result(self, place: Path) -> object:
        stored = self._stored(place)[-PEOPLE:]
        assert len(stored) == PEOPLE
        return [(one["person"], one["status"], Path(one["source"]).name) for one in stored]

    def _stored(self, place: Path) -> list[dict[str, Any]]:
        """Return the new decisions of a chain that holds."""
        with DecisionLog(place / "log.db") as log:
            assert_sound(log)
            assert log.verify().broken is None
            return [one.body for one in log.decisions() if one.number > self.OLD]
