"""The reader of dlib's file format, held by a writer of that format and by damaged files."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facecli.errors import ModelError
from facecli.models.dlib_format import STAGES, parse_dlib, read_dlib
from facecli.models.dlib_import import import_dlib
from facecli.models.encoders import load_encoder


def integer(value: int) -> bytes:
    size = max(1, (abs(value).bit_length() + 7) // 8)
    return bytes([size | (0x80 if value < 0 else 0)]) + abs(value).to_bytes(size, "little")


def integers(*values: int) -> bytes:
    return b"".join(map(integer, values))


def number(value: float) -> bytes:
    mantissa, exponent = int(value * 2**20), -20
    return integers(mantissa, exponent)


def name(text: str) -> bytes:
    return integer(len(text)) + text.encode()


def tensor(values: np.ndarray) -> bytes:
    shape = (*values.shape, 1, 1, 1, 1)[:4]
    return integers(2, *shape) + values.astype("<f4").tobytes()


EMPTY = integers(2, 0, 0, 0, 0)
TAIL = b"000" + EMPTY * 3


def affine(gamma: np.ndarray, beta: np.ndarray) -> bytes:
    alias = integers(1, 1, len(gamma), 1, 1)
    return name("affine_") + tensor(np.concatenate([gamma, beta])) + alias * 2 + integer(0)


def convolution(weight: np.ndarray, bias: np.ndarray, stride: int) -> bytes:
    flat = np.concatenate([weight.ravel(), bias])
    rows = weight.shape[2]
    return (
        name("con_4")
        + tensor(flat)
        + integers(len(bias), rows, rows, stride, stride, 0, 0)
        + integers(1, *weight.shape)
        + integers(1, 1, len(bias), 1, 1)
        + number(1.0) * 4
    )


class Written:
    """A random network of dlib's architecture, and its file."""

    def __init__(self, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.expected: list[tuple[np.ndarray, np.ndarray]] = []
        self.versions: list[int] = []
        self.body = b""
        self.layer(self.folded(32, 3, 7, 2) + TAIL + integer(1), 3)
        self.affine_of_last()
        for plain_name in ("relu_", "max_pool_2"):
            self.simple(plain_name)
        channels = 32
        for width, plain, down in STAGES:
            for block in range(down + plain):
                self.block(channels, width, down=bool(down and block == 0))
                channels = width
        self.simple("avg_pool_2")
        self.head = self.random.normal(size=(256, 128)).astype(np.float32)
        head = integers(128, 256) + tensor(self.head.reshape(256, 128, 1, 1))
        head += integers(1, 256, 128, 1, 1) + integers(1, 0, 0, 0, 0) + integer(1) + number(1.0) * 4
        self.layer(name("fc_2") + head + TAIL, 2)

    def layer(self, data: bytes, version: int) -> None:
        self.versions.append(version)
        self.body += data

    def simple(self, kind: str) -> None:
        pool = integers(3, 3, 2, 2, 0, 0) if "pool" in kind else b""
        self.layer(name(kind) + pool + TAIL, 2)

    def folded(self, width: int, channels: int, side: int, stride: int) -> bytes:
        self.weight = self.random.normal(size=(width, channels, side, side)).astype(np.float32)
        self.bias = self.random.normal(size=width).astype(np.float32)
        return convolution(self.weight, self.bias, stride)

    def affine_of_last(self) -> None:
        gamma, beta = self.random.normal(size=(2, len(self.bias))).astype(np.float32)
        self.layer(affine(gamma, beta) + TAIL, 2)
        weight = self.weight * gamma[:, None, None, None]
        self.expected.append((weight, self.bias * gamma + beta))

    def block(self, channels: int, width: int, *, down: bool) -> None:
        self.layer(b"", 1)  # tag
        self.layer(self.folded(width, channels, 3, 1 + down) + TAIL, 2)
        self.affine_of_last()
        self.simple("relu_")
        self.layer(self.folded(width, width, 3, 1) + TAIL, 2)
        self.affine_of_last()
        if down:
            self.layer(b"", 1)  # tag
            self.layer(b"", 1)  # skip
            self.simple("avg_pool_2")
        self.simple("add_prev_")
        self.simple("relu_")

    @property
    def data(self) -> bytes:
        loss = integer(1) + name("loss_metric_2") + number(0.04) + number(0.6)
        head = name("input_rgb_image_sized") + number(122.5) + number(117.25) + number(104.0)
        stack = integers(*reversed(self.versions))
        return loss + stack + head + integers(150, 150) + self.body


@pytest.fixture(scope="module")
def written() -> Written:
    return Written()


def test_every_convolution_comes_back_with_its_affine_folded_in(written: Written) -> None:
    read = parse_dlib(written.data, "x.dat")
    assert len(read.convolutions) == 29
    for (weight, bias), (expected_weight, expected_bias) in zip(
        read.convolutions, written.expected, strict=True
    ):
        np.testing.assert_allclose(weight, expected_weight, rtol=1e-6)
        np.testing.assert_allclose(bias, expected_bias, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(read.head, written.head.T)
    assert read.mean_rgb == (122.5, 117.25, 104.0)


def test_an_imported_file_becomes_a_model_that_embeds(tmp_path: Path, written: Written) -> None:
    # Random weights of unit variance overflow through 29 layers: shrink them as training would.
    small = Written(1)
    dat = tmp_path / "net.dat"
    dat.write_bytes(small.data)
    with pytest.raises(ModelError, match="larger than"):
        read_dlib(_sparse(tmp_path / "huge.dat"))
    card = import_dlib(dat, tmp_path / "m.safetensors")
    assert len(card.fingerprint) == 64
    assert load_encoder(str(tmp_path / "m.safetensors")).card == card


def _sparse(path: Path) -> Path:
    with path.open("wb") as stream:
        stream.truncate(2**30)
    return path


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.dat"):
        read_dlib(tmp_path / "none.dat")


def test_bytes_left_over_are_refused(written: Written) -> None:
    with pytest.raises(ModelError, match="left over"):
        parse_dlib(written.data + b"\0", "x.dat")


def test_weights_that_are_not_finite_are_refused(written: Written) -> None:
    weight = np.float32(written.head[0, 0]).tobytes()
    data = written.data.replace(weight, struct.pack("<f", float("nan")))
    with pytest.raises(ModelError, match="not finite"):
        parse_dlib(bytes(data), "x.dat")


@given(data=st.data())
def test_any_truncated_file_is_refused_with_one_line(data: st.DataObject) -> None:
    whole = _CACHED.data
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(ModelError) as caught:
        parse_dlib(whole[:cut], "x.dat")
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@given(position=st.integers(0, 3000), value=st.integers(0, 255))
def test_a_changed_byte_never_escapes_as_another_error(position: int, value: int) -> None:
    data = bytearray(_CACHED.data)
    data[position] = value
    with contextlib.suppress(ModelError):
        parse_dlib(bytes(data), "x.dat")


class _CACHED:
    data = Written(2).data
