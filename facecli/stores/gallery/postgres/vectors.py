"""Embeddings on their way to and from the server, in the binary form of pgvector and of COPY.

pgvector sends a vector as its dimension and an unused number, 2 bytes each, and then float32
(pgvector, `vector_send`). COPY puts a length before each value (PostgreSQL, "COPY", binary format).
All of it is big-endian. A float32 comes back bit for bit.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facecli.stores.gallery.postgres.connecting import Connection
from facecli.stores.kind import Damaged
from facecli.types import FloatArray
from facecli.vectors.distances import are_unit

SIGNATURE = 19
"""Bytes before the first row: the signature, the flags, and an extension of no length."""

TRAILER = 2
"""Bytes after the last row."""

EVERY_VECTOR = """
    COPY (SELECT id, person_id, embedding FROM facecli.template WHERE model_id = %s)
    TO STDOUT (FORMAT BINARY)
"""
"""In no order: sorting here costs less than the server's walk along an index."""

_ROW = struct.Struct(">hiqiqihh")
"""Fields, then a length and the id, the same for the person, and a length and a vector's head."""

BEGIN = struct.Struct(">hh")


@dataclass(frozen=True, slots=True)
class StoredVectors:
    """Templates of one model, by id: int64 (n,), int64 (n,) and read-only float32 (n, d).

    `damaged` are the ids of those that are no unit vectors of the model's dimension, in order.
    Their rows are there only if their dimension is right.
    """

    template_ids: npt.NDArray[np.int64]
    person_ids: npt.NDArray[np.int64]
    embeddings: FloatArray
    damaged: tuple[int, ...]


def as_sent(embedding: FloatArray) -> bytes:
    """Return an embedding, float32 (d,), as pgvector receives it."""
    return BEGIN.pack(len(embedding), 0) + embedding.astype(">f4").tobytes()


def read_vectors(connection: Connection, model_id: int, dimension: int) -> StoredVectors:
    """Return the templates of a model; raise Damaged for an answer that cannot be taken apart."""
    with connection.cursor() as cursor, cursor.copy(EVERY_VECTOR, (model_id,)) as answer:
        data = b"".join(answer)
    layout = _layout(dimension)
    body = memoryview(data)[SIGNATURE : len(data) - TRAILER]
    others: list[int] = []
    if len(body) % layout.itemsize or not _is_regular(np.frombuffer(body, layout), dimension):
        body, others = _without_others(body, dimension)
    rows = np.frombuffer(body, layout)
    ids = rows["id"].astype(np.int64)
    if (ids[1:] < ids[:-1]).any():  # rows lie in the order added until some are changed
        order = np.argsort(ids)
        rows, ids = rows[order], ids[order]
    embeddings = rows["embedding"].astype(np.float32)
    embeddings.setflags(write=False)
    wrong = ids[~are_unit(embeddings)].tolist()
    return StoredVectors(
        ids, rows["person_id"].astype(np.int64), embeddings, tuple(sorted([*others, *wrong]))
    )


def _layout(dimension: int) -> np.dtype[np.void]:
    """Return how a row looks whose vector has this dimension."""
    return np.dtype(
        [
            ("fields", ">i2"),
            ("id_size", ">i4"),
            ("id", ">i8"),
            ("person_size", ">i4"),
            ("person_id", ">i8"),
            ("size", ">i4"),
            ("dimension", ">i2"),
            ("unused", ">i2"),
            ("embedding", ">f4", (dimension,)),
        ]
    )


def _is_regular(rows: npt.NDArray[np.void], dimension: int) -> bool:
    """Return whether all rows are of one dimension."""
    size = BEGIN.size + 4 * dimension
    return bool(
        (
            (rows["fields"] == 3)
            & (rows["id_size"] == 8)
            & (rows["person_size"] == 8)
            & (rows["size"] == size)
            & (rows["dimension"] == dimension)
        ).all()
    )


def _without_others(body: memoryview, dimension: int) -> tuple[memoryview, list[int]]:
    """Return the rows of this dimension, and the ids of the others, row by row.

    The table lets no other dimension in, but a database from elsewhere may have another table.
    """
    kept, others, at = bytearray(), [], 0
    while at < len(body):
        try:
            *_, row_id, _, _, size, held, _ = _ROW.unpack_from(body, at)
        except struct.error as error:
            raise Damaged("a template in it is not as this program writes it") from error
        end = at + _ROW.size - BEGIN.size + size
        if held == dimension:
            kept += body[at:end]
        else:
            others.append(int(row_id))
        at = end
    return memoryview(bytes(kept)), others
