"""People go from one gallery to another: whole, bounded, and never merged silently."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from fakes import FakeDetector, FakeEncoder, embedding, fake_card
from hypothesis import given
from hypothesis import strategies as st

from facecli.cli import cli
from facecli.cli.settings import Settings
from facecli.errors import FacecliError
from facecli.recognition import people_file
from facecli.recognition.people_file import read_people
from facecli.stores.gallery.sqlite.store import SqliteGallery
from facecli.types import NewTemplate, Quality

pytestmark = pytest.mark.base

Run = Callable[..., Result]
CARD = fake_card()
MODEL = b'{"name": "x", "fingerprint": "y"}'


def template(
    name: str, plane: int, angle: float = 0, *, photo: str = "", external_id: str | None = None
) -> NewTemplate:
    sha256 = hashlib.sha256((photo or f"{name}{plane}{angle}").encode()).hexdigest()
    quality = Quality(61.5, 40.25, 127.0, 0.1)
    box = (1.5, 2.0, 3.25, 4.0)
    return NewTemplate(name, embedding(plane, angle), sha256, box, quality, external_id)


def gallery_of(path: Path, *templates: NewTemplate, model: str = "fake-128") -> Path:
    with SqliteGallery(path) as gallery:
        gallery.add(templates, fake_card(model))
    return path


@pytest.fixture
def run() -> Run:
    def invoke(*words: object, db: Path, model: str = "fake-128") -> Result:
        settings = Settings(detector=FakeDetector(), encoder=FakeEncoder(fake_card(model)))
        texts = ["people", *map(str, words), "--db", str(db)]
        return CliRunner().invoke(cli, texts, obj=settings)

    return invoke


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Ada with an external id and two templates, and Bob."""
    return gallery_of(
        tmp_path / "here.db",
        template("Ada", 0, external_id="E1"),
        template("Ada", 0, 3),
        template("Bob", 1),
    )


@pytest.fixture
def there(tmp_path: Path) -> Path:
    return tmp_path / "there.db"


@pytest.fixture
def file(run: Run, here: Path) -> Path:
    path = here.with_name("people.jsonl")
    done = run("export", path, db=here)
    assert done.exit_code == 0, done.output
    return path


def contents(path: Path) -> dict[str, Any]:
    """Return all that is to survive a transfer."""
    with SqliteGallery(path, create=False) as gallery:
        assert gallery.integrity_check() == []
        matrix = gallery.matrix(CARD)
        rows = dict(zip(matrix.template_ids.tolist(), matrix.embeddings.tolist(), strict=True))
        return {
            person.name: (
                person.external_id,
                [
                    (one.image_sha256, one.box, one.quality, rows[one.id])
                    for one in gallery.templates_of(person.name)
                ],
            )
            for person in gallery.people()
        }


def outcomes(result: Result) -> dict[str, str]:
    """Return what became of each person."""
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert lines[-1]["imported"] + lines[-1]["present"] + lines[-1]["refused"] == len(lines) - 1
    return {line["person"]: line["outcome"] for line in lines[:-1]}


class TestExport:
    def test_all_arrives_as_it_was_and_twice_is_once(
        self, run: Run, here: Path, there: Path, file: Path
    ) -> None:
        assert file.stat().st_mode & 0o777 == 0o600
        assert outcomes(run("import", file, "--json", db=there)) == dict.fromkeys(
            ("Ada", "Bob"), "imported"
        )
        assert contents(there) == contents(here)
        again = run("import", file, "--json", db=there)
        assert again.exit_code == 0
        assert set(outcomes(again).values()) == {"there already"}
        assert contents(there) == contents(here)

    def test_only_those_named_and_each_once(self, run: Run, here: Path) -> None:
        path = here.with_name("some.jsonl")
        assert run("export", path, "bob", "Bob", db=here).exit_code == 0
        assert [one.name for one in read_people(path, CARD)] == ["Bob"]

    def test_what_is_there_is_kept_and_a_failure_leaves_no_file(
        self, run: Run, here: Path, there: Path, file: Path
    ) -> None:
        before = file.read_bytes()
        done = run("export", file, db=here)
        assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
        assert "File exists" in done.stderr
        assert file.read_bytes() == before
        gallery_of(there, template("Cleo", 3), model="other-128")
        for words in (["x.jsonl", "Nobody"], ["x.jsonl"], ["none/x.jsonl"]):
            path = here.parent / words[0]
            done = run("export", path, *words[1:], db=there)
            assert done.exit_code == 2
            assert not path.exists()
        assert not [one for one in here.parent.iterdir() if one.name.startswith(".")]

    def test_templates_of_other_models_are_said(self, run: Run, here: Path) -> None:
        gallery_of(here, template("Cleo", 3), model="other-128")
        done = run("export", here.with_name("x.jsonl"), db=here)
        assert "Cleo is not written" in done.stderr
        assert "2 people with 3 templates" in done.stdout


class TestConflicts:
    """Of each person who contradicts the gallery nothing is stored, and the others are."""

    @pytest.mark.parametrize(
        ("held", "who", "outcome", "reason"),
        [
            (template("ADA", 5), "Ada", "conflict", "ADA is here already, with other faces"),
            (template("Cleo", 5, external_id="E1"), "Ada", "conflict", "E1 belongs to Cleo"),
            (template("Cleo", 5, photo="Ada00"), "Ada", "conflict", "enrolled already, as Cleo"),
            (template("Cleo", 1, 2), "Bob", "look-alike", "looks like Cleo: squared L2 0.010"),
        ],
    )
    def test_one_is_refused_and_the_other_is_imported(
        self,
        held: NewTemplate,
        who: str,
        outcome: str,
        reason: str,
        run: Run,
        there: Path,
        file: Path,
    ) -> None:
        gallery_of(there, held)
        before = contents(there)
        other = {"Ada": "Bob", "Bob": "Ada"}[who]
        dry = run("import", file, "--dry-run", "--json", db=there)
        assert contents(there) == before
        done = run("import", file, "--json", db=there)
        assert done.exit_code == dry.exit_code == 1
        assert outcomes(done) == outcomes(dry) == {who: outcome, other: "imported"}
        assert reason in done.stdout
        after = contents(there)
        assert after.pop(other)
        assert after == before

    def test_an_external_id_that_differs(self, run: Run, there: Path, file: Path) -> None:
        run("import", file, db=there)
        run("set-id", "Ada", "E9", db=there)
        done = run("import", file, db=there)
        assert done.exit_code == 1
        assert "external id E1, here E9" in done.stdout

    def test_twins_are_accepted_when_asked(self, run: Run, there: Path, file: Path) -> None:
        gallery_of(there, template("Cleo", 1, 2))
        done = run("import", file, "--allow-look-alike", db=there)
        assert done.exit_code == 0
        assert "looks like Cleo" in done.stdout

    def test_faces_of_one_photo_may_be_two_people(self, run: Run, here: Path, there: Path) -> None:
        shared = template("Dan", 7, photo="group")
        other = NewTemplate(
            "Eve", embedding(8, 0), shared.image_sha256, (9, 9, 19, 19), shared.quality
        )
        gallery_of(here, shared, other)
        assert run("export", here.with_name("x.jsonl"), db=here).exit_code == 0
        assert run("import", here.with_name("x.jsonl"), db=there).exit_code == 0
        assert contents(there) == contents(here)

    def test_two_of_the_file_who_share_something_are_both_refused(
        self, run: Run, there: Path, file: Path
    ) -> None:
        head, ada, bob = map(json.loads, file.read_text().splitlines())
        for change in (
            {"name": " ada"},
            {"external_id": "E1"},
            {"templates": ada["templates"][:1]},
        ):
            write(file, head, ada, bob | change, {**bob, "templates": [moved(bob, 7)], "name": "Z"})
            done = run("import", file, "--json", db=there)
            found = outcomes(done)
            assert found.pop("Z") in ("imported", "there already")
            assert set(found.values()) == {"conflict"}
            assert done.exit_code == 1

    def test_look_alikes_within_the_file(self, run: Run, there: Path, file: Path) -> None:
        head, ada, bob = map(json.loads, file.read_text().splitlines())
        write(file, head, ada, {**bob, "templates": [moved(ada, 0)]})
        done = run("import", file, "--json", db=there)
        assert set(outcomes(done).values()) == {"look-alike"}
        assert done.exit_code == 2


def write(file: Path, *values: Any) -> None:
    file.write_text("".join(json.dumps(one) + "\n" for one in values))


def moved(person: dict[str, Any], plane: int) -> dict[str, Any]:
    """Return a template of another photo, with another embedding."""
    encoded = base64.b64encode(embedding(plane, 1).astype("<f4").tobytes()).decode()
    sha256 = hashlib.sha256(encoded.encode()).hexdigest()
    return {**person["templates"][0], "embedding": encoded, "image_sha256": sha256}


class TestHostileFiles:
    @pytest.mark.parametrize(
        "harm",
        [
            {"name": ""},
            {"name": 5},
            {"name": "a\nb"},
            {"name": None},
            {"external_id": 7},
            {"external_id": ""},
            {"templates": []},
            {"templates": {}},
            {"templates": [5]},
            {"templates": None},
        ],
    )
    def test_one_bad_person_costs_no_other(
        self, harm: dict[str, Any], run: Run, there: Path, file: Path
    ) -> None:
        head, ada, bob = map(json.loads, file.read_text().splitlines())
        write(file, head, {**ada, **harm}, bob)
        done = run("import", file, "--json", db=there)
        assert done.exit_code == 1, done.output
        assert sorted(outcomes(done).values()) == ["imported", "unusable"]
        assert set(contents(there)) == {"Bob"}

    @pytest.mark.parametrize(
        "harm",
        [
            {"embedding": "!"},
            {"embedding": ""},
            {"embedding": base64.b64encode(b"\0" * 512).decode()},
            {"embedding": base64.b64encode(np.full(128, np.nan, "<f4").tobytes()).decode()},
            {"embedding": base64.b64encode(b"\0" * 508).decode()},
            {"image_sha256": "x" * 64},
            {"image_sha256": None},
            {"box": [1, 2, 3]},
            {"box": [1, 2, 3, "4"]},
            {"box": [1, 2, 3, True]},
            {"quality": []},
            {"quality": {"eye_distance": 1}},
        ],
    )
    def test_one_bad_template_costs_its_person_only(
        self, harm: dict[str, Any], run: Run, there: Path, file: Path
    ) -> None:
        head, ada, bob = map(json.loads, file.read_text().splitlines())
        bad = {**ada["templates"][0], **harm}
        write(file, head, {**ada, "templates": [bad, ada["templates"][1]]}, bob)
        done = run("import", file, "--json", db=there)
        assert outcomes(done) == {"Ada": "unusable", "Bob": "imported"}

    @pytest.mark.parametrize(
        "line",
        [
            b"{",
            b"[]",
            b"null",
            b"[" * 5000,
            b'{"name": NaN}',
            b"\xff\xfe",
            b"1e999",
        ],
    )
    def test_one_bad_line_costs_no_other(
        self, line: bytes, run: Run, there: Path, file: Path
    ) -> None:
        head, *people = file.read_bytes().splitlines()
        file.write_bytes(b"\n".join([head, line, *people]))
        done = run("import", file, "--json", db=there)
        assert outcomes(done) == {"line 2": "unusable", "Ada": "imported", "Bob": "imported"}

    def test_the_same_face_twice_is_no_crash(self, run: Run, there: Path, file: Path) -> None:
        head, ada, bob = map(json.loads, file.read_text().splitlines())
        write(file, head, {**ada, "templates": ada["templates"][:1] * 2}, bob)
        done = run("import", file, "--json", db=there)
        assert outcomes(done) == {"Ada": "unusable", "Bob": "imported"}

    def test_a_line_without_end_is_not_read_into_memory(
        self, run: Run, there: Path, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        longest = 2 + max(map(len, file.read_bytes().splitlines()))
        monkeypatch.setattr(people_file, "LARGEST_JSON", longest)
        file.write_bytes(file.read_bytes() + b"x" * 10 * longest)
        done = run("import", file, "--json", db=there)
        assert outcomes(done) == {"Ada": "imported", "Bob": "imported", "line 4": "unusable"}

    @pytest.mark.parametrize(
        ("data", "said"),
        [
            (b"", "not a file of people"),
            (b"\x89PNG", "not a file of people"),
            (b"[" * 100_000, "not a file of people"),
            (b'{"format": "facecli people"}', "not a file of people"),
            (b'{"format": "other", "version": 1, "model": {}}', "not a file of people"),
            (b'{"format": "x", "version": 1, "model": %s}' % MODEL, "not a file of people"),
            (b'{"format": "facecli people", "version": 2, "model": %s}' % MODEL, "newer facecli"),
        ],
    )
    def test_another_file_is_one_line(
        self, data: bytes, said: str, run: Run, there: Path, file: Path
    ) -> None:
        file.write_bytes(data)
        done = run("import", file, db=there)
        assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
        assert said in done.stderr
        assert not there.exists()

    def test_what_is_no_file_is_one_line(self, run: Run, there: Path, tmp_path: Path) -> None:
        for path in (tmp_path, tmp_path / "none", Path("/dev/zero")):
            done = run("import", path, db=there)
            assert (done.exit_code, done.stderr.count("\n")) == (2, 1)

    @given(data=st.binary(max_size=300))
    def test_any_bytes_are_refused_or_reported(
        self, data: bytes, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        path = tmp_path_factory.mktemp("any") / "x"
        head = {"name": CARD.name, "fingerprint": CARD.fingerprint}
        first = json.dumps({"format": "facecli people", "version": 1, "model": head}).encode()
        path.write_bytes(first + b"\n" + data)
        assert all(one.problem for one in read_people(path, CARD))
        path.write_bytes(data)
        with pytest.raises(FacecliError):
            read_people(path, CARD)


def test_another_model_is_refused_with_the_cure(run: Run, there: Path, file: Path) -> None:
    done = run("import", file, db=there, model="other-128")
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "'fake-128'" in done.stderr
    assert "--model" in done.stderr
    assert "enroll the people again" in done.stderr
    assert not there.exists()
