"""No picture takes more memory than the budget, whatever its file declares."""

from __future__ import annotations

import math
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facecli.errors import PictureError
from facecli.faces import blocks, budget
from facecli.faces.acquisition import acquire
from facecli.faces.blocks import reduced
from facecli.faces.budget import PICTURE_BYTES, Room
from facecli.faces.chips import DLIB_GEOMETRY
from facecli.faces.images import EncodedPicture, decode, measure
from facecli.faces.upright import upright_rgb
from facecli.portraits import eileen_collins, grace_hopper
from facecli.types import Acquisition, Detector

SMALL = 48 * 2**20
"""A budget for tests, so that pictures that exceed it are quickly made."""

SLACK = 16 * 2**20
"""What Python and the blocks take besides."""

DECODE = """
import resource, sys
from facecli.errors import PictureError
from facecli.faces import budget, images
import numpy, PIL.features
budget.PICTURE_BYTES = int(sys.argv[2])
data = open(sys.argv[1], "rb").read()
images.decode(open(sys.argv[3], "rb").read(), "warm")
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = peak()
try:
    found = images.decode(data, "it")
    print(peak() - before, found.scale, *found.size)
except PictureError as error:
    print(peak() - before, error)
"""


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def declared(size: tuple[int, int], *, mode: str = "RGB", progressive: bool = False) -> bytes:
    """Return a JPEG of some hundred bytes that declares a size and ends early."""
    data = bytearray(saved(Image.new(mode, (16, 16)), "JPEG", progressive=progressive))
    place = data.index(b"\xff\xc2" if progressive else b"\xff\xc0") + 5
    data[place : place + 4] = struct.pack(">HH", size[1], size[0])
    return bytes(data)


def tiny_webp(width: int, height: int) -> bytes:
    """Return a WebP of 34 bytes that declares a size."""
    head = b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14)
    chunk = b"VP8L" + struct.pack("<I", 14) + head.ljust(14, b"\0")
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


PIXELS = (3400, 3200)
"""10.9 million: 41.5 MiB as RGB, and twice that is beyond the small budget."""

KINDS: dict[str, Callable[[], bytes]] = {
    "rgb": lambda: saved(Image.new("RGB", PIXELS), "PNG"),
    "rgb turned": lambda: saved(Image.new("RGB", PIXELS), "PNG", exif=turned(6)),
    "rgba": lambda: saved(Image.new("RGBA", PIXELS, (1, 2, 3, 77)), "PNG"),
    "grey and alpha": lambda: saved(Image.new("LA", PIXELS, (9, 9)), "PNG"),
    "palette": lambda: saved(Image.new("P", PIXELS), "PNG", transparency=0),
    "16 bits": lambda: saved(Image.new("I;16", PIXELS), "PNG"),
    "floats": lambda: saved(Image.new("F", PIXELS), "TIFF", compression="tiff_deflate"),
    "tiff turned": lambda: saved(Image.new("RGB", (2500, 2400)), "TIFF", exif=turned(8)),
    "cmyk tiff": lambda: saved(Image.new("CMYK", PIXELS), "TIFF", compression="tiff_lzw"),
    "one strip": lambda: saved(
        Image.new("RGB", PIXELS), "TIFF", compression="tiff_deflate", tiffinfo={278: 3200}
    ),
    "jpeg": lambda: saved(Image.new("RGB", (5000, 5000)), "JPEG"),
    "jpeg turned": lambda: saved(Image.new("RGB", (5000, 5000)), "JPEG", exif=turned(3)),
    "jpeg cmyk": lambda: saved(Image.new("CMYK", PIXELS), "JPEG"),
    "jpeg progressive": lambda: saved(Image.new("RGB", (3000, 3000)), "JPEG", progressive=True),
    "tiny jpeg": lambda: declared((9000, 9000)),
    "tiny progressive jpeg": lambda: declared((9000, 9000), progressive=True),
    "tiny cmyk jpeg": lambda: declared((9000, 9000), mode="CMYK", progressive=True),
    "webp": lambda: saved(Image.new("RGBA", (1700, 1700), (1, 2, 3, 77)), "WEBP"),
    "tiny webp": lambda: tiny_webp(16384, 8191),
    "gif": lambda: saved(Image.new("P", PIXELS), "GIF"),
    "bitmap": lambda: saved(Image.new("RGB", PIXELS), "BMP"),
    "avif": lambda: saved(Image.new("RGB", (1800, 1800)), "AVIF", speed=10),
    "wide": lambda: saved(Image.new("RGBA", (4_000_000, 2)), "PNG"),
    "tall": lambda: saved(Image.new("RGBA", (2, 4_000_000)), "PNG"),
}


@pytest.mark.slow
@pytest.mark.base
@pytest.mark.parametrize("kind", KINDS)
def test_a_decode_takes_no_more_than_the_budget(kind: str, tmp_path: Path) -> None:
    """It is reduced, or refused in one line, which names the two amounts."""
    file, ordinary = tmp_path / "picture", tmp_path / "ordinary"
    file.write_bytes(KINDS[kind]())
    ordinary.write_bytes(saved(Image.new("F", (300, 200)), "TIFF"))
    run = [sys.executable, "-c", DECODE, str(file), str(SMALL), str(ordinary)]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    taken, _, said = done.stdout.partition(" ")
    assert int(taken) <= SMALL + SLACK, done.stdout
    assert done.stderr == ""
    assert said.count("\n") == 1
    if not said[0].isdigit():
        assert said.startswith("it: needs ")
        assert said.endswith(" MiB to be decoded, more than 48\n")


@pytest.mark.base
def test_what_the_largest_cameras_make_is_decoded_whole() -> None:
    """102 megapixels, with a baseline JPEG of their own or a PNG."""
    for kind in ("JPEG", "PNG"):
        size, needed = measure(saved(Image.new("L", (11648, 8736)), kind), "photo")
        assert size == (11648, 8736)
        assert needed <= PICTURE_BYTES
    camera = measure(declared((11648, 8736)), "photo")[1]
    assert 11648 * 8736 * 4 < camera <= PICTURE_BYTES


@pytest.mark.base
@pytest.mark.parametrize(
    "data", [tiny_webp(16384, 8191), declared((11585, 11585), mode="CMYK", progressive=True)]
)
def test_a_few_bytes_that_declare_gigabytes_are_refused(data: bytes) -> None:
    with pytest.raises(PictureError, match=r"^photo: needs [\d,]+ MiB to be decoded, more"):
        decode(data, "photo")


@pytest.mark.base
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "L", "1", "CMYK", "I;16", "F"])
def test_blocks_make_the_pixels_that_one_piece_would(
    mode: str, orientation: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(1).integers(0, 255, (45, 70, 4), np.uint8)
    image = Image.fromarray(values).convert("F" if mode == "F" else "RGBA")
    image = Image.fromarray(values[..., 0].astype(np.uint16) * 200) if mode == "I;16" else image
    image = image.convert("RGB").convert(mode) if mode in ("CMYK", "P") else image.convert(mode)
    image.getexif().update(turned(orientation))
    for factor in (1, 2, 3):
        whole = upright_rgb(image, factor)
        assert whole.mode == "RGB"
        monkeypatch.setattr(blocks, "BLOCK", 16)
        assert np.array_equal(np.asarray(upright_rgb(image, factor)), np.asarray(whole))
        monkeypatch.undo()


@pytest.mark.base
@pytest.mark.parametrize("factor", [1, 2, 4])
@pytest.mark.parametrize(
    "box", [(3, 5, 60, 40), (-30, -10, 61, 43), (50, 20, 101, 93), (-50, -60, 140, 120)]
)
def test_a_part_reduced_is_the_crop_reduced(
    box: tuple[int, int, int, int], factor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(1).integers(0, 255, (50, 70, 3), np.uint8)
    picture = Image.fromarray(values)
    expected = picture.crop(box).reduce(factor)
    monkeypatch.setattr(blocks, "BLOCK", 16)
    assert np.array_equal(np.asarray(reduced(picture, box, factor)), np.asarray(expected))


@pytest.mark.base
def test_a_reduced_picture_keeps_its_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "PICTURE_BYTES", 420_000)
    picture = Image.new("RGBA", (400, 200), (120, 120, 120, 255))
    picture.paste((255, 0, 0, 255), (300, 40, 340, 80))
    found = decode(saved(picture, "PNG"), "photo")
    assert (found.scale, found.size, found.pixels.size) == (2, (400, 200), (200, 100))
    assert found.largest
    red = np.argwhere(np.asarray(found.pixels)[..., 1] < 60)
    top, left = (float(value) for value in red.min(axis=0))
    assert found.to_full((left - 0.5, top - 0.5)) == (299.5, 39.5)


@pytest.mark.base
def test_pictures_together_wait_for_room() -> None:
    room, second = Room(100), threading.Event()

    def take() -> None:
        with room.held(math.inf):  # type: ignore[arg-type]
            second.set()

    with room.held(60), room.held(40):
        thread = threading.Thread(target=take)
        thread.start()
        assert not second.wait(0.05)
    thread.join()
    assert second.is_set()


PEAK = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], capture_output=True, text=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024, done.returncode)
print(done.stderr)
"""


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize(
    "size", [(65000, 1), (1, 65000), (30000, 200), (200, 30000), (2_000_000, 12)]
)
def test_extreme_shapes_are_searched_in_little_memory(
    size: tuple[int, int], tmp_path: Path
) -> None:
    """Under 400 MB for the whole program, which was killed at 18 GB."""
    Image.new("L", size, 90).save(tmp_path / "thin.png")
    program = "from facecli.__main__ import main; main()"
    command = [sys.executable, "-c", program, "embed", str(tmp_path / "thin.png")]
    done = subprocess.run(
        [sys.executable, "-c", PEAK, *command], capture_output=True, text=True, check=True
    )
    peak, code = map(int, done.stdout.split()[:2])
    assert peak < 400
    assert code == 1
    assert "thin.png: no face found" in done.stdout


@pytest.mark.network
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("portrait", [grace_hopper, eileen_collins])
@pytest.mark.parametrize("left", [0, 14000, 29360])
def test_the_face_of_a_panorama_is_found(
    left: int, portrait: Callable[[], Path], kind: str, real_detector: Detector
) -> None:
    with Image.open(portrait()) as person:
        small = person.convert("RGB").resize((640, 800))
    panorama = Image.new("RGB", (30000, 1000), (120, 140, 160))
    panorama.paste(small, (left, 100))
    data = saved(panorama, kind)
    (found,) = acquire([EncodedPicture(data, "panorama")], real_detector, DLIB_GEOMETRY)
    assert isinstance(found, Acquisition)
    (face,) = found.faces
    x = (face.detection.box[0] + face.detection.box[2]) / 2
    assert left < x < left + 640
