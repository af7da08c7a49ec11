"""The gallery's schema as numbered steps: a released step never changes, new ones are appended.

sqlite-utils applies the steps and records the name of each in the database. That record is also the
schema's version, so there is no second number that could disagree with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from facecli.errors import GalleryError, GalleryUnavailable
from facecli.stores.kind import Kind

if TYPE_CHECKING:
    from sqlite_utils import Database

PEOPLE_AND_TEMPLATES = """
CREATE TABLE model (
    id INTEGER PRIMARY KEY,
    fingerprint TEXT NOT NULL UNIQUE CHECK (fingerprint <> ''),
    name TEXT NOT NULL,
    dimension INTEGER NOT NULL CHECK (dimension = 128),
    created TEXT NOT NULL
) STRICT;

CREATE TABLE person (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL CHECK (name <> ''),
    name_key TEXT NOT NULL UNIQUE CHECK (name_key <> ''),
    external_id TEXT UNIQUE CHECK (external_id <> ''),
    created TEXT NOT NULL
) STRICT;

CREATE TABLE template (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    model_id INTEGER NOT NULL REFERENCES model (id),
    person_id INTEGER NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    embedding BLOB NOT NULL CHECK (length(embedding) = 512),
    image_sha256 TEXT NOT NULL CHECK (image_sha256 <> ''),
    box_left REAL NOT NULL,
    box_top REAL NOT NULL,
    box_right REAL NOT NULL,
    box_bottom REAL NOT NULL,
    eye_distance REAL NOT NULL,
    sharpness REAL NOT NULL,
    brightness REAL NOT NULL,
    turn REAL NOT NULL,
    created TEXT NOT NULL,
    UNIQUE (image_sha256, model_id, box_left, box_top, box_right, box_bottom)
) STRICT;
CREATE INDEX template_person ON template (person_id);

CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    generation INTEGER NOT NULL
) STRICT;
INSERT INTO meta (id, generation) VALUES (1, random());
CREATE TRIGGER person_insert AFTER INSERT ON person
    BEGIN UPDATE meta SET generation = random(); END;
CREATE TRIGGER person_update AFTER UPDATE ON person
    BEGIN UPDATE meta SET generation = random(); END;
CREATE TRIGGER person_delete AFTER DELETE ON person
    BEGIN UPDATE meta SET generation = random(); END;
CREATE TRIGGER template_insert AFTER INSERT ON template
    BEGIN UPDATE meta SET generation = random(); END;
CREATE TRIGGER template_update AFTER UPDATE ON template
    BEGIN UPDATE meta SET generation = random(); END;
CREATE TRIGGER template_delete AFTER DELETE ON template
    BEGIN UPDATE meta SET generation = random(); END;
"""


def m0001_people_and_templates(database: Database) -> None:
    """Create models, people, templates and the generation, which every change of them replaces.

    AUTOINCREMENT makes sure that the id of a forgotten person or template is never used again: a
    program that still has the id must find nobody. A face is a box in a picture. It is one template
    of one model, whoever it was enrolled as. The generation is random, not counted: a restored
    backup with other changes cannot reach the same number.
    """
    database.executescript(PEOPLE_AND_TEMPLATES)


CALIBRATIONS = """
CREATE TABLE calibration (
    fingerprint TEXT PRIMARY KEY CHECK (fingerprint <> ''),
    model TEXT NOT NULL,
    threshold REAL NOT NULL CHECK (threshold BETWEEN 0 AND 4),
    far REAL NOT NULL,
    far_low REAL NOT NULL,
    far_high REAL NOT NULL,
    people INTEGER NOT NULL,
    impostor_pairs INTEGER NOT NULL,
    genuine_pairs INTEGER NOT NULL,
    fnmr REAL,
    source TEXT NOT NULL,
    created TEXT NOT NULL,
    impostors TEXT NOT NULL
) STRICT;
CREATE TRIGGER calibration_insert AFTER INSERT ON calibration
    BEGIN UPDATE meta SET generation = random(); END;
CREATE TRIGGER calibration_update AFTER UPDATE ON calibration
    BEGIN UPDATE meta SET generation = random(); END;
CREATE TRIGGER calibration_delete AFTER DELETE ON calibration
    BEGIN UPDATE meta SET generation = random(); END;
"""


def m0002_calibrations(database: Database) -> None:
    """Create the thresholds set from data, one per model, with the table of impostors as JSON.

    They decide answers as people and templates do, so a change of them changes the generation too.
    """
    database.executescript(CALIBRATIONS)


ANY_DIMENSION = """
CREATE TABLE new_model (
    id INTEGER PRIMARY KEY,
    fingerprint TEXT NOT NULL UNIQUE CHECK (fingerprint <> ''),
    name TEXT NOT NULL,
    dimension INTEGER NOT NULL CHECK (dimension > 0),
    created TEXT NOT NULL
) STRICT;
INSERT INTO new_model SELECT * FROM model;

CREATE TABLE new_template (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    model_id INTEGER NOT NULL REFERENCES new_model (id),
    person_id INTEGER NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    embedding BLOB NOT NULL CHECK (length(embedding) > 0 AND length(embedding) % 4 = 0),
    image_sha256 TEXT NOT NULL CHECK (image_sha256 <> ''),
    box_left REAL NOT NULL,
    box_top REAL NOT NULL,
    box_right REAL NOT NULL,
    box_bottom REAL NOT NULL,
    eye_distance REAL NOT NULL,
    sharpness REAL NOT NULL,
    brightness REAL NOT NULL,
    turn REAL NOT NULL,
    created TEXT NOT NULL,
    UNIQUE (image_sha256, model_id, box_left, box_top, box_right, box_bottom)
) STRICT;
INSERT INTO new_template SELECT * FROM template ORDER BY id;
DELETE FROM sqlite_sequence WHERE name = 'new_template';
INSERT INTO sqlite_sequence SELECT 'new_template', seq FROM sqlite_sequence WHERE name = 'template';

DROP TABLE template;
DROP TABLE model;
ALTER TABLE new_model RENAME TO model;
ALTER TABLE new_template RENAME TO template;
CREATE INDEX template_person ON template (person_id);
CREATE TRIGGER template_insert AFTER INSERT ON template
    BEGIN UPDATE meta SET generation = random(); END;
CREATE TRIGGER template_update AFTER UPDATE ON template
    BEGIN UPDATE meta SET generation = random(); END;
CREATE TRIGGER template_delete AFTER DELETE ON template
    BEGIN UPDATE meta SET generation = random(); END;

CREATE TRIGGER template_fits BEFORE INSERT ON template
    WHEN length(NEW.embedding) <> 4 * (SELECT dimension FROM model WHERE id = NEW.model_id)
    BEGIN SELECT RAISE(ABORT, 'an embedding has the dimension of its model'); END;
CREATE TRIGGER template_still_fits BEFORE UPDATE OF embedding, model_id ON template
    WHEN length(NEW.embedding) <> 4 * (SELECT dimension FROM model WHERE id = NEW.model_id)
    BEGIN SELECT RAISE(ABORT, 'an embedding has the dimension of its model'); END;
CREATE TRIGGER model_keeps_dimension BEFORE UPDATE OF dimension ON model
    BEGIN SELECT RAISE(ABORT, 'the dimension of a model does not change'); END;
"""


def m0003_any_dimension(database: Database) -> None:
    """Let models have any dimension, where there were only 128 numbers.

    SQLite cannot change a CHECK in place, so both tables are written anew (SQLite, "ALTER TABLE",
    section 7). They keep every row and id, the highest id ever given, and the generation. Triggers
    replace the old CHECK: an embedding still has as many numbers as its model says, whoever writes.
    """
    database.executescript(ANY_DIMENSION)


GALLERY = Kind(
    noun="gallery",
    steps=(m0001_people_and_templates, m0002_calibrations, m0003_any_dimension),
    error=GalleryError,
    failure=GalleryUnavailable,
    absent="there is none; enroll someone first",
    damaged="the file is damaged: restore a backup",
)
