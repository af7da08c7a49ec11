"""A gallery in PostgreSQL: who is enrolled, with which templates."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from facecli.stores.address import PostgresAddress
from facecli.stores.contract import GalleryStatistics
from facecli.stores.gallery import refusals
from facecli.stores.gallery.engine import Engine
from facecli.stores.gallery.postgres import erasing, migrations, reading, writing
from facecli.stores.gallery.postgres.connecting import Connection
from facecli.stores.gallery.postgres.session import Session, roll_back
from facecli.stores.times import now
from facecli.types import (
    ForgetReceipt,
    ModelCard,
    StoredModel,
    TemplateMatrix,
)


class PostgresGallery(Session, Engine[Connection, Connection]):
    """People and templates in one database; a `GalleryStore`, which documents the methods."""

    _reads, _writes = reading, writing

    def __init__(
        self,
        address: PostgresAddress,
        connection: Connection,
        where: str,
        give_back: Callable[[Connection], None],
    ) -> None:
        """Take a connection to a gallery with today's schema, and what to do with it at the end."""
        super().__init__(connection, where)
        self._address = address
        self._give_back = give_back

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def location(self) -> str:
        """Where the gallery is: its URL without the password."""
        return str(self._address)

    def close(self) -> None:
        """Give the connection back, without a transaction on it."""
        roll_back(self._connection)
        self._give_back(self._connection)

    def matrix(self, model: ModelCard | StoredModel) -> TemplateMatrix:
        """Return the templates of one model; the embeddings are read-only."""
        with self.reading() as connection:
            row = reading.model(connection, model.fingerprint)
            model_id, dimension = (0, model.dimension) if row is None else row
            found, names = reading.vectors(connection, model_id, dimension)
            empty = not len(found.template_ids) and not found.damaged
            models = reading.models(connection) if empty else []
            if any(one.templates for one in models):
                raise refusals.other_models(model.fingerprint, models, self._where)
            if dimension != model.dimension:
                raise refusals.other_dimension(model, dimension, self._where)
            if found.damaged:
                name = reading.holder(connection, found.damaged[0])
                raise refusals.damaged_template(found.damaged[0], name, self._where)
        return TemplateMatrix(
            template_ids=found.template_ids,
            person_ids=found.person_ids,
            embeddings=found.embeddings,
            names=names,
        )

    def forget(self, names: Iterable[str]) -> ForgetReceipt:
        """Erase people with all their templates, all of them or none, and return a receipt.

        The tables are written anew, without the erased rows. See `erasing` for what is left.
        """
        with self.writing() as connection:
            people = list({person.id: person for person in map(self.person, names)}.values())
            writing.erase(connection, [person.id for person in people])
        return ForgetReceipt(
            people=tuple(person.name for person in people),
            templates=sum(person.templates for person in people),
            at=now(),
            scrubbed=False,
            remains=erasing.clean(self._connection),
        )

    def integrity_check(self) -> list[str]:
        """Return what is wrong with the gallery, a line each; nothing if it is sound."""
        with self.reading() as connection:
            return list(reading.problems(connection))

    def statistics(self) -> GalleryStatistics:
        """Return what a health check wants to know; the counts are of one moment."""
        with self.reading() as connection:
            models = tuple(reading.models(connection))
            return GalleryStatistics(
                path=self.location,
                size=reading.size(connection),
                private=reading.is_private(connection),
                schema_version=len(migrations.applied(connection, self._where)),
                people=reading.count_people(connection),
                templates=sum(model.templates for model in models),
                models=models,
            )
