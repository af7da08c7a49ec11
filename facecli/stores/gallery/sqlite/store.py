"""A gallery in one SQLite file: who is enrolled, with which templates."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from facecli.stores.contract import GalleryStatistics
from facecli.stores.database import Store
from facecli.stores.embeddings import damaged, decode
from facecli.stores.gallery import refusals
from facecli.stores.gallery.engine import Engine
from facecli.stores.gallery.sqlite import migrations, reading, writing
from facecli.stores.times import now
from facecli.types import (
    ForgetReceipt,
    ModelCard,
    StoredModel,
    TemplateMatrix,
)
from facecli.vectors.distances import are_unit

if TYPE_CHECKING:
    from sqlite_utils import Database  # noqa: F401 - named in the base class, as text

IN_THE_LOG = (
    "the write-ahead log, as another program has the database open, until that program next writes "
    "or closes"
)
"""Where the erased data are if the log could not be emptied."""


class SqliteGallery(Store, Engine[sqlite3.Connection, "Database"]):
    """People and templates in one SQLite file; a `GalleryStore`, which documents the methods."""

    _reads, _writes = reading, writing

    def __init__(self, path: Path | None, *, create: bool = True) -> None:
        """Open the gallery at a path; None is memory. With `create` a missing file is made."""
        super().__init__(path, migrations.GALLERY, create=create)

    @classmethod
    def memory(cls) -> Self:
        """Return an empty gallery in memory, which is gone when it is closed."""
        return cls(None)

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
