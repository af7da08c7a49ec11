"""A gallery in one SQLite file: who is enrolled, with which templates."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

import numpy as np

from facecli.stores.contract import GalleryStatistics
from facecli.stores.database import Store
from facecli.stores.embeddings import damaged, decode
from facecli.stores.gallery import refusals
from facecli.stores.gallery.checks import checked
from facecli.stores.gallery.sqlite import migrations, reading, writing
from facecli.stores.names import clean_name, name_key
from facecli.stores.times import now
from facecli.types import (
    Calibration,
    ForgetReceipt,
    ModelCard,
    NewTemplate,
    Person,
    StoredModel,
    Template,
    TemplateMatrix,
)
from facecli.vectors.distances import are_unit

if TYPE_CHECKING:
    from sqlite_utils import Database

IN_THE_LOG = (
    "the write-ahead log, as another program has the database open, until that program next writes "
    "or closes"
)
"""Where the erased data are if the log could not be emptied."""


class SqliteGallery(Store):
    """People and templates in one SQLite file; a `GalleryStore`, which documents the methods."""

    def __init__(self, path: Path | None, *, create: bool = True) -> None:
        """Open the gallery at a path; None is memory. With `create` a missing file is made."""
        super().__init__(path, migrations.GALLERY, create=create)

    @classmethod
    def memory(cls) -> Self:
        """Return an empty gallery in memory, which is gone when it is closed."""
        return cls(None)

    def add(
        self,
        templates: Sequence[NewTemplate],
        card: ModelCard | StoredModel,
        *,
        external_ids: Mapping[str, str] = MappingProxyType({}),
    ) -> list[int]:
        """Store all templates and external ids or none; return the ids of the templates."""
        batch = checked(templates, card)
        with self.writing() as database:
            ids = writing.insert(database, batch, card, self._where) if templates else []
            for name, external_id in external_ids.items():
                self._give_id(database, name, external_id, replacing=False)
            return ids

    def people(self) -> list[Person]:
        """Return everyone, by name."""
        with self.reading() as connection:
            return reading.people(connection)

    def person(self, name: str) -> Person:
        """Return a person by any spelling of the name."""
        with self.reading() as connection:
            found = reading.person(connection, name)
            if found is None:
                names = reading.names_by_key(connection)
                raise refusals.unknown_person(name, names, self._where)
        return found

    def templates_of(self, name: str) -> list[Template]:
        """Return a person's templates of every model, oldest first."""
        with self.reading() as connection:
            return reading.templates(connection, self.person(name).id)

    def matrix(self, model: ModelCard | StoredModel) -> TemplateMatrix:
        """Return the templates of one model; the embeddings are read-only."""
        with self.reading() as connection:
            rows, names = reading.vectors(connection, model.fingerprint)
            dimension = reading.dimension(connection, model.fingerprint)
            models = [] if rows else reading.models(connection)
        if any(one.templates for one in models):
            raise refusals.other_models(model.fingerprint, models, self._where)
        if dimension not in (None, model.dimension):
            raise refusals.other_dimension(model, dimension, self._where)
        template_ids, person_ids, stored = zip(*rows, strict=True) if rows else ((), (), ())
        try:
            embeddings = decode(stored, model.dimension)
            sound = bool(are_unit(embeddings).all())
        except ValueError:
            sound = False
        if not sound:
            row = damaged(stored, model.dimension)[0]
            name = names[person_ids[row]]
            raise refusals.damaged_template(template_ids[row], name, self._where)
        return TemplateMatrix(
            template_ids=np.array(template_ids, np.int64),
            person_ids=np.array(person_ids, np.int64),
            embeddings=embeddings,
            names=names,
        )

    def rename(self, old: str, new: str) -> Person:
        """Give a person another name, or another spelling of it, and return them."""
        name = clean_name(new)
        with self.writing() as database:
            person = self.person(old)
            holder = reading.person(self._connection, name)
            if holder is not None and holder.id != person.id:
                raise refusals.name_taken(holder.name)
            writing.rename(database, person.id, name, name_key(name))
        return self.person(name)

    def set_external_id(self, name: str, external_id: str | None) -> Person:
        """Give a person another external id, or none, and return them."""
        with self.writing() as database:
            self._give_id(database, name, external_id, replacing=True)
        return self.person(name)

    def _give_id(
        self, database: Database, name: str, external_id: str | None, *, replacing: bool
    ) -> None:
        """Store a person's external id; without `replacing` a person keeps the one they have."""
        person = self.person(name)
        given = None if external_id is None else clean_name(external_id, "external id")
        if given is not None and not replacing and person.external_id not in (None, given):
            raise refusals.two_external_ids(person.name, str(person.external_id), given)
        writing.set_external_id(database, person, given)

    def merge(self, source: str, target: str) -> Person:
        """Move all templates of one person to another, remove the first, and return the other."""
        with self.writing() as database:
            gone, kept = self.person(source), self.person(target)
            if gone.id == kept.id:
                raise refusals.one_person(gone.name, target)
            writing.merge(database, gone.id, kept.id, kept.external_id or gone.external_id)
        return self.person(target)

    def forget(self, names: Iterable[str]) -> ForgetReceipt:
        """Erase people with all their templates, all of them or none, and return a receipt.

        SQLite overwrites the freed space. The write-ahead log, which still holds all that was
        written since it was last emptied, is emptied.
        """
        with self.writing() as database:
            people = list({person.id: person for person in map(self.person, names)}.values())
            for person in people:
                writing.erase(database, person.id)
        scrubbed = self._empty_log()
        return ForgetReceipt(
            people=tuple(person.name for person in people),
            templates=sum(person.templates for person in people),
            at=now(),
            scrubbed=scrubbed,
            remains="" if scrubbed else IN_THE_LOG,
        )

    def images_known(self, sha256s: Iterable[str], fingerprint: str) -> dict[str, tuple[str, ...]]:
        """Return who is enrolled from each picture under a model; unknown pictures are absent."""
        with self.reading() as connection:
            return reading.pictured(connection, sha256s, fingerprint)

    def set_calibration(self, calibration: Calibration) -> None:
        """Store a threshold set from data; it replaces the one that its model had."""
        with self.writing() as database:
            row = dataclasses.asdict(calibration)
            database.table("calibration").insert(row, pk="fingerprint", replace=True)

    def calibrations(self) -> list[Calibration]:
        """Return the thresholds set from data, by model."""
        with self.reading() as connection:
            try:
                return reading.calibrations(connection)
            except ValueError as error:
                raise refusals.damaged_calibration(self._where) from error

    def clear_calibrations(self) -> int:
        """Remove every threshold set from data; return how many there were."""
        with self.writing() as database:
            return database.execute("DELETE FROM calibration").rowcount

    def generation(self) -> int:
        """Return a number that every change of people, templates or calibrations replaces."""
        with self.reading() as connection:
            return reading.generation(connection)

    def models(self) -> list[StoredModel]:
        """Return the models that ever had templates here, oldest first."""
        with self.reading() as connection:
            return reading.models(connection)

    def integrity_check(self) -> list[str]:
        """Return what is wrong with the gallery, a line each; nothing if it is sound."""
        with self.reading() as connection:
            return reading.problems(connection)

    def statistics(self) -> GalleryStatistics:
        """Return what a health check wants to know; the counts are of one moment."""
        with self.reading() as connection:
            schema = len(migrations.GALLERY.applied(connection))
            models = tuple(reading.models(connection))
            people = reading.count_people(connection)
        size, private = self._disk_use()
        return GalleryStatistics(
            path=self.location,
            size=size,
            private=private,
            schema_version=schema,
            people=people,
            templates=sum(model.templates for model in models),
            models=models,
        )
