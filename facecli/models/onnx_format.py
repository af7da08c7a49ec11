"""Write networks as ONNX files, and read the weights of such files.

Only what a convolutional network needs is known here. The format is Protocol Buffers with the field
numbers of onnx.proto (ONNX 1.x, IR version 8). The onnx package would do the same, but it takes
longer to import than a whole verification.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from facecli.errors import ModelError

Tensor = npt.NDArray[Any]
Attribute = int | float | str | tuple[int, ...]
Shape = tuple[int | str, ...]
"""Sides of a tensor; a text names a side that the caller chooses."""

IR_VERSION, OPSET = 8, 17

FLOAT = 1
_TYPES = {FLOAT: "<f4", 2: "u1", 3: "i1", 6: "<i4", 7: "<i8", 10: "<f2"}
"""TensorProto.DataType, as far as it is used here."""

_NUMBERS = {np.dtype(name): number for number, name in _TYPES.items()}


@dataclass(frozen=True, slots=True)
class Node:
    """One operation: its name in ONNX, the names of what goes in and out, and its attributes."""

    operation: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)

    def number(self, name: str, default: float) -> float:
        """Return an attribute that is a number; raise TypeError if it is something else."""
        value = self.attributes.get(name, default)
        if isinstance(value, str | tuple):
            raise TypeError(f"{name} of {self.operation} is no number")
        return value


@dataclass(frozen=True, slots=True)
class Graph:
    """A network: operations in order, weights by name, and the shapes of what goes in and out.

    All inputs and outputs are float32.
    """

    nodes: tuple[Node, ...]
    weights: Mapping[str, Tensor]
    inputs: Mapping[str, Shape]
    outputs: Mapping[str, Shape]


def write(graph: Graph, metadata: Mapping[str, str] | None = None) -> bytes:
    """Return the ONNX file of a graph."""
    content = [
        *_each(1, map(_node, graph.nodes)),
        *_text(2, "facecli"),
        *_each(5, (_tensor(name, value) for name, value in graph.weights.items())),
        *_each(11, (_value(name, shape) for name, shape in graph.inputs.items())),
        *_each(12, (_value(name, shape) for name, shape in graph.outputs.items())),
    ]
    notes = [_text(1, key) + _text(2, text) for key, text in (metadata or {}).items()]
    return b"".join(
        [
            _number(1, IR_VERSION),
            *_text(2, "facecli"),
            *_part(7, content),
            *_part(8, [_number(2, OPSET)]),
            *_each(14, notes),
        ]
    )


# A message is a list of pieces that are joined once, at the end: weights are copied once only.
Pieces = list[bytes | memoryview]


def _varint(value: int) -> bytes:
    value &= 2**64 - 1  # negative numbers are written as 64-bit two's complement
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)
    return bytes(data)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _part(field: int, pieces: Pieces) -> Pieces:
    return [_varint(field << 3 | 2) + _varint(sum(map(len, pieces))), *pieces]


def _text(field: int, text: str) -> Pieces:
    return _part(field, [text.encode()])


def _each(field: int, messages: Iterable[Pieces]) -> Pieces:
    return [piece for message in messages for piece in _part(field, message)]


def _node(node: Node) -> Pieces:
    return [
        *_each(1, ([name.encode()] for name in node.inputs)),
        *_each(2, ([name.encode()] for name in node.outputs)),
        *_text(4, node.operation),
        *_each(5, (_attribute(name, value) for name, value in node.attributes.items())),
    ]


def _attribute(name: str, value: Attribute) -> Pieces:
    start = _text(1, name)
    if isinstance(value, int):
        return [*start, _number(3, value), _number(20, 2)]
    if isinstance(value, float):
        return [*start, _varint(2 << 3 | 5) + struct.pack("<f", value), _number(20, 1)]
    if isinstance(value, str):
        return [*start, *_text(4, value), _number(20, 3)]
    return [*start, *(_number(8, one) for one in value), _number(20, 7)]


def _tensor(name: str, value: Tensor) -> Pieces:
    data = np.ascontiguousarray(value)
    raw = data.reshape(-1).view(np.uint8).data
    return [
        *(_number(1, side) for side in value.shape),
        _number(2, _NUMBERS[data.dtype]),
        *_text(8, name),
        *_part(9, [raw]),
    ]


def _value(name: str, shape: Shape) -> Pieces:
    sides: list[Pieces] = [
        _text(2, side) if isinstance(side, str) else [_number(1, side)] for side in shape
    ]
    kind: Pieces = [_number(1, FLOAT), *_part(2, _each(1, sides))]
    return [*_text(1, name), *_part(2, _part(1, kind))]


def read_weights(data: bytes) -> tuple[dict[str, Tensor], list[Node]]:
    """Return the weights of an ONNX file by name, and its operations with their attributes.

    Raises ModelError for bytes that are no such file, and for weights of unknown type or outside
    the file.
    """
    try:
        graph = _one(data, 7)
        weights = dict(_read_tensor(part) for part in _parts(graph, 5))
        return weights, [_read_node(part) for part in _parts(graph, 1)]
    except (IndexError, KeyError, TypeError, ValueError, struct.error) as error:
        raise ModelError(f"not a readable ONNX file: {error}") from error


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield number and value of each field of a message."""
    place = 0
    while place < len(data):
        key, place = _read_varint(data, place)
        value: int | bytes
        if key & 7 == 0:
            value, place = _read_varint(data, place)
        elif key & 7 == 2:
            length, place = _read_varint(data, place)
            value, place = data[place : place + length], place + length
        elif key & 7 in (1, 5):
            length = 8 if key & 7 == 1 else 4
            value, place = data[place : place + length], place + length
        else:
            raise ValueError(f"a field of unknown kind {key & 7}")
        if place > len(data):
            raise ValueError("it ends too early")
        yield key >> 3, value


def _read_varint(data: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("a number of more than ten bytes")


def _parts(data: bytes, wanted: int) -> list[bytes]:
    return [value for number, value in _fields(data) if number == wanted and type(value) is bytes]


def _one(data: bytes, wanted: int) -> bytes:
    return _parts(data, wanted)[-1]


def _texts(data: bytes, wanted: int) -> tuple[str, ...]:
    return tuple(part.decode() for part in _parts(data, wanted))


def _signed(value: int | bytes) -> int:
    if not isinstance(value, int):
        raise TypeError("bytes where a number belongs")
    return value - 2**64 if value >= 2**63 else value


def _integers(data: bytes, wanted: int) -> list[int]:
    """Return repeated integers, which may be packed into one field."""
    found = []
    for number, value in _fields(data):
        if number != wanted:
            continue
        if isinstance(value, int):
            found.append(_signed(value))
            continue
        place = 0
        while place < len(value):
            one, place = _read_varint(value, place)
            found.append(_signed(one))
    return found


def _read_tensor(data: bytes) -> tuple[str, Tensor]:
    shape = _integers(data, 1)
    kind = np.dtype(_TYPES[_integers(data, 2)[-1]])
    (name,) = _texts(data, 8)
    if raw := _parts(data, 9):
        values = np.frombuffer(raw[-1], kind)
    elif floats := _parts(data, 4):
        values = np.frombuffer(b"".join(floats), "<f4").astype(kind)
    else:
        values = np.array(_integers(data, 5) or _integers(data, 7), kind)
    return name, values.reshape(shape)


def _read_node(data: bytes) -> Node:
    attributes = dict(_read_attribute(part) for part in _parts(data, 5))
    return Node(_texts(data, 4)[0], _texts(data, 1), _texts(data, 2), attributes)


def _read_attribute(data: bytes) -> tuple[str, Attribute]:
    (name,) = _texts(data, 1)
    fields = dict(_fields(data))
    kind = _signed(fields.get(20, 0))
    if kind == 1:
        (number,) = struct.unpack("<f", fields[2])  # type: ignore[arg-type]
        return name, float(number)
    if kind == 2:
        return name, _signed(fields.get(3, 0))
    if kind == 7:
        return name, tuple(_integers(data, 8))
    return name, "".join(_texts(data, 4))
