"""The gallery's schema as numbered steps: a released step never changes, new ones are appended.

sqlite-utils applies the steps and records each by name in the database. That record is also the
schema's version: there is no second number that could disagree with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from facecli.errors import GalleryError
from facecli.stores.database import Kind

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
    """Create models, people, templates and the stamp that changes with every change of them.

    AUTOINCREMENT, so that the id of a forgotten person or template never comes back for another
    one: a program that still remembers the id must find nobody. A face, that is a box in a
    picture, is one template of one model, whoever it was enrolled as. The generation is drawn
    at random rather than counted: a restored backup that went another way cannot arrive at the
    same one.
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
    """Create the thresholds set from data, one a model, with its table of impostors as JSON.

    They decide as people and templates do, so that they change the generation too.
    """
    database.executescript(CALIBRATIONS)


ANY_DIMENSION = """
CREATE TABLE model_new (
    id INTEGER PRIMARY KEY,
    fingerprint TEXT NOT NULL UNIQUE CHECK (fingerprint <> ''),
    name TEXT NOT NULL,
    dimension INTEGER NOT NULL CHECK (dimension > 0),
    created TEXT NOT NULL
) STRICT;
INSERT INTO model_new SELECT id, fingerprint, name, dimension, created FROM model;

CREATE TABLE template_new (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    model_id INTEGER NOT NULL REFERENCES model_new (id),
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
INSERT INTO template_new SELECT
    id, model_id, person_id, embedding, image_sha256, box_left, box_top, box_right, box_bottom,
    eye_distance, sharpness, brightness, turn, created
    FROM template ORDER BY id;
DELETE FROM sqlite_sequence WHERE name = 'template_new';
INSERT INTO sqlite_sequence (name, seq)
    SELECT 'template_new', seq FROM sqlite_sequence WHERE name = 'template';

DROP TABLE template;
DROP TABLE model;
ALTER TABLE model_new RENAME TO model;
ALTER TABLE template_new RENAME TO template;
CREATE INDEX template_person ON template (person_id);
CREATE TRIGGER template_insert AFTER INSERT ON template
    BEGIN UPDATE meta SET generation = random(); END;
CREATE TRIGGER template_update AFTER UPDATE ON template
    BEGIN UPDATE meta SET generation = random(); END;
CREATE TRIGGER template_delete AFTER DELETE ON template
    BEGIN UPDATE meta SET generation = random(); END;
"""


def m0003_any_dimension(database: Database) -> None:
    """Let a model give embeddings of any length; both tables said that it is 128.

    SQLite cannot change a CHECK, so the tables are made anew. The ids stay, and so does the highest
    id ever given, which must not come back.
    """
    database.executescript(ANY_DIMENSION)


GALLERY = Kind(
    noun="gallery",
    steps=(m0001_people_and_templates, m0002_calibrations, m0003_any_dimension),
    error=GalleryError,
    absent="there is none; enroll someone first",
    damaged="the file is damaged: restore a backup",
)
