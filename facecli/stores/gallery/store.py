"""The gallery: who is enrolled, with which templates, and how both are changed or forgotten."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np

from facecli.errors import FingerprintMismatch, GalleryError
from facecli.stores.database import Store
from facecli.stores.embeddings import damaged, decode
from facecli.stores.gallery import enrolling, migrations, reading
from facecli.stores.names import clean_name, closest, name_key
from facecli.types import (
    Calibration,
    ForgetReceipt,
    GalleryStatistics,
    ModelCard,
    NewTemplate,
    Person,
    StoredModel,
    Template,
    TemplateMatrix,
)
from facecli.vectors.distances import are_unit


class Gallery(Store):
    """People and templates in one SQLite file.

    Raises GalleryError for a file that cannot be used and for a person who is not there.
    """

    def __init__(self, path: Path | None, *, create: bool = True) -> None:
        """Open the gallery at a path, made if need be unless `create` is false; None is memory."""
        super().__init__(path, migrations.GALLERY, create=create)

    @classmethod
    def memory(cls) -> Self:
        """Return an empty gallery in memory, gone when closed."""
        return cls(None)

    def add(self, templates: Sequence[NewTemplate], card: ModelCard) -> list[int]:
        """Store all templates or none; return their ids. People are made as they are needed.

        Raises GalleryError for an embedding that is not a float32 unit vector of the card's
        dimension, a name or external id that cannot be used, and a face of a photo that is enrolled
        already.
        """
        entries = [enrolling.checked(template, card.dimension) for template in templates]
        with self.writing() as database:
            return enrolling.insert(database, entries, card) if entries else []

    def people(self) -> list[Person]:
        """Return everyone, by name."""
        with self.reading() as connection:
            return reading.people(connection)

    def person(self, name: str) -> Person:
        """Return a person by name, in whatever case and spacing; raise GalleryError if unknown."""
        with self.reading() as connection:
            found = reading.person(connection, name)
            if found is None:
                raise self._unknown(name, reading.names_by_key(connection))
        return found

    def templates_of(self, name: str) -> list[Template]:
        """Return a person's templates of every model, oldest first."""
        with self.reading() as connection:
            return reading.templates(connection, self.person(name).id)

    def matrix(self, fingerprint: str) -> TemplateMatrix:
        """Return the templates of one model; raise FingerprintMismatch if only others exist.

        Raises GalleryError naming the template if one is damaged. The embeddings are read-only.
        """
        with self.reading() as connection:
            rows, names, dimension = reading.vectors(connection, fingerprint)
            if not rows:
                self._refuse_other_models(fingerprint, reading.models(connection))
        template_ids, person_ids, stored = zip(*rows, strict=True) if rows else ((), (), ())
        try:
            embeddings = decode(stored, dimension)
            sound = bool(are_unit(embeddings).all())
        except ValueError:
            sound = False
        if not sound:
            row = int(damaged(stored, dimension)[0])
            raise GalleryError(
                f"{self._where}: template {template_ids[row]} of "
                f"{names[person_ids[row]]!r} is damaged: forget and enroll them again"
            )
        return TemplateMatrix(
            template_ids=np.array(template_ids, np.int64),
            person_ids=np.array(person_ids, np.int64),
            embeddings=embeddings,
            names=names,
        )

    def rename(self, old: str, new: str) -> Person:
        """Give a person another name, or another spelling of theirs, and return them.

        Raises GalleryError if someone else has the new name.
        """
        name = clean_name(new)
        with self.writing() as database:
            person = self.person(old)
            holder = reading.person(self._connection, name)
            if holder is not None and holder.id != person.id:
                raise GalleryError(
                    f"{holder.name!r} is someone else; if the two are one person, merge them"
                )
            database.table("person").update(person.id, {"name": name, "name_key": name_key(name)})
        return self.person(name)

    def merge(self, source: str, target: str) -> Person:
        """Move all templates of one person to another, drop the first, and return the other.

        The target's external id stays; if they have none, they take the source's.
        """
        with self.writing() as database:
            gone, kept = self.person(source), self.person(target)
            if gone.id == kept.id:
                raise GalleryError(f"{gone.name!r} and {target!r} are one person already")
            database.execute(
                "UPDATE template SET person_id = ? WHERE person_id = ?", (kept.id, gone.id)
            )
            people = database.table("person")
            people.delete(gone.id)
            people.update(kept.id, {"external_id": kept.external_id or gone.external_id})
        return self.person(target)

    def forget(self, names: Iterable[str]) -> ForgetReceipt:
        """Erase people with all their templates, all of them or none, and return a receipt.

        The freed space is overwritten and the write-ahead log, which still holds what was ever
        written, is emptied. Backups and copies of the file are out of reach.
        """
        with self.writing() as database:
            people = list({person.id: person for person in map(self.person, names)}.values())
            for person in people:
                database.table("person").delete(person.id)
        return ForgetReceipt(
            people=tuple(person.name for person in people),
            templates=sum(person.templates for person in people),
            at=enrolling.now(),
            scrubbed=self._empty_log(),
        )

    def images_known(self, sha256s: Iterable[str], fingerprint: str) -> dict[str, tuple[str, ...]]:
        """Return who is enrolled from each picture under this model; unknown pictures are absent.

        Several names belong to one picture when several of its faces are enrolled.
        """
        with self.reading() as connection:
            return reading.pictured(connection, sha256s, fingerprint)

    def set_calibration(self, calibration: Calibration) -> None:
        """Keep a threshold set from data, in the place of the one its model had."""
        with self.writing() as database:
            row = dataclasses.asdict(calibration)
            database.table("calibration").insert(row, pk="fingerprint", replace=True)

    def calibrations(self) -> list[Calibration]:
        """Return the thresholds set from data, by model."""
        with self.reading() as connection:
            try:
                return reading.calibrations(connection)
            except ValueError as error:
                raise GalleryError(
                    f"{self._where}: its calibration is damaged: clear it and calibrate again"
                ) from error

    def clear_calibrations(self) -> int:
        """Drop every threshold set from data and return how many there were."""
        with self.writing() as database:
            return database.execute("DELETE FROM calibration").rowcount

    def generation(self) -> int:
        """Return a number that is another one after a change of people, templates or calibrations.

        Compare it for equality only. Ask for it before reading a matrix: a change in between then
        makes the stamp too old, which costs one more reading, and never too new.
        """
        with self.reading() as connection:
            (number,) = connection.execute("SELECT generation FROM meta").fetchone()
        return int(number)

    def models(self) -> list[StoredModel]:
        """Return the models that ever had templates here, oldest first, with how many they have."""
        with self.reading() as connection:
            return reading.models(connection)

    def integrity_check(self) -> list[str]:
        """Return what is wrong with the database, a line each; nothing if it is sound."""
        with self.reading() as connection:
            return reading.problems(connection)

    def statistics(self) -> GalleryStatistics:
        """Return what a health check wants to know; the counts are of one moment."""
        with self.reading() as connection:
            schema = len(migrations.GALLERY.applied(connection))
            models = tuple(reading.models(connection))
            (people,) = connection.execute("SELECT count(*) FROM person").fetchone()
        states = [file.stat() for file in self._files()]
        return GalleryStatistics(
            path=":memory:" if self.path is None else os.fspath(self.path),
            size=sum(state.st_size for state in states),
            private=all(state.st_mode & 0o077 == 0 for state in states),
            schema_version=schema,
            people=people,
            templates=sum(model.templates for model in models),
            models=models,
        )

    def _unknown(self, name: str, names: Mapping[str, str]) -> GalleryError:
        """Say that a person is not there, and who might have been meant."""
        if not names:
            return GalleryError(f"no person {name!r}: nobody is enrolled in {self._where}")
        like = closest(name, names)
        hint = "" if like is None else f"; did you mean {like!r}?"
        return GalleryError(f"no person {name!r} in {self._where}{hint}")

    def _refuse_other_models(self, fingerprint: str, models: Iterable[StoredModel]) -> None:
        """Raise FingerprintMismatch if there are templates, all of other models than asked for."""
        held = [f"{model.name!r} ({model.fingerprint[:12]})" for model in models if model.templates]
        if held:
            raise FingerprintMismatch(
                f"{self._where} holds templates of {', '.join(held)}, none of the model "
                f"asked for ({fingerprint[:12]}): choose one of those with --model, or enroll "
                "the people again with this one"
            )
