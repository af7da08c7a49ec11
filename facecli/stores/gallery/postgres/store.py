"""A gallery in PostgreSQL: who is enrolled, with which templates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import Self

from facecli.stores.address import PostgresAddress
from facecli.stores.contract import GalleryStatistics
from facecli.stores.gallery import refusals
from facecli.stores.gallery.checks import checked
from facecli.stores.gallery.postgres import erasing, migrations, reading, writing
from facecli.stores.gallery.postgres.connecting import Connection
from facecli.stores.gallery.postgres.session import Session, roll_back
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


class PostgresGallery(Session):
    """People and templates in one database; a `GalleryStore`, which documents the methods."""

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

    def add(
        self,
        templates: Sequence[NewTemplate],
        card: ModelCard | StoredModel,
        *,
        external_ids: Mapping[str, str] = MappingProxyType({}),
    ) -> list[int]:
        """Store all templates and external ids or none; return the ids of the templates."""
        batch = checked(templates, card)
        with self.writing() as connection:
            ids = writing.insert(connection, batch, card, self._where) if templates else []
            for name, external_id in external_ids.items():
                self._give_id(connection, name, external_id, replacing=False)
            return ids

    def people(self) -> list[Person]:
        """Return everyone, by name."""
        with self.asking() as connection:
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

    def rename(self, old: str, new: str) -> Person:
        """Give a person another name, or another spelling of it, and return them."""
        name = clean_name(new)
        with self.writing() as connection:
            person = self.person(old)
            holder = reading.person(connection, name)
            if holder is not None and holder.id != person.id:
                raise refusals.name_taken(holder.name)
            writing.rename(connection, person.id, name, name_key(name))
            return self.person(name)

    def set_external_id(self, name: str, external_id: str | None) -> Person:
        """Give a person another external id, or none, and return them."""
        with self.writing() as connection:
            self._give_id(connection, name, external_id, replacing=True)
            return self.person(name)

    def _give_id(
        self, connection: Connection, name: str, external_id: str | None, *, replacing: bool
    ) -> None:
        """Store a person's external id; without `replacing` a person keeps the one they have."""
        person = self.person(name)
        given = None if external_id is None else clean_name(external_id, "external id")
        if given is not None and not replacing and person.external_id not in (None, given):
            raise refusals.two_external_ids(person.name, str(person.external_id), given)
        writing.set_external_id(connection, person, given)

    def merge(self, source: str, target: str) -> Person:
        """Move all templates of one person to another, remove the first, and return the other."""
        with self.writing() as connection:
            gone, kept = self.person(source), self.person(target)
            if gone.id == kept.id:
                raise refusals.one_person(gone.name, target)
            writing.merge(connection, gone.id, kept.id, kept.external_id or gone.external_id)
            return self.person(target)

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

    def images_known(self, sha256s: Iterable[str], fingerprint: str) -> dict[str, tuple[str, ...]]:
        """Return who is enrolled from each picture under a model; unknown pictures are absent."""
        with self.asking() as connection:
            return reading.pictured(connection, sha256s, fingerprint)

    def set_calibration(self, calibration: Calibration) -> None:
        """Store a threshold set from data; it replaces the one that its model had."""
        with self.writing() as connection:
            writing.set_calibration(connection, calibration)

    def calibrations(self) -> list[Calibration]:
        """Return the thresholds set from data, by model."""
        with self.asking() as connection:
            try:
                return reading.calibrations(connection)
            except ValueError as error:
                raise refusals.damaged_calibration(self._where) from error

    def clear_calibrations(self) -> int:
        """Remove every threshold set from data; return how many there were."""
        with self.writing() as connection:
            return writing.clear_calibrations(connection)

    def generation(self) -> int:
        """Return a number that every change of people, templates or calibrations replaces."""
        with self.asking() as connection:
            return reading.generation(connection)

    def models(self) -> list[StoredModel]:
        """Return the models that ever had templates here, oldest first."""
        with self.asking() as connection:
            return reading.models(connection)

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
