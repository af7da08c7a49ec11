"""Every kind of picture people have becomes upright RGB; everything else becomes one line."""

from __future__ import annotations

import hashlib
import os
import struct
import sys
import threading
import warnings
import zlib
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from waiting import PATIENT

from facecli.errors import FacecliError, MissingExtra, PictureError
from facecli.faces import images, upright
from facecli.faces.headers import own_xmp
from facecli.faces.images import display_name, open_picture, read_picture
from facecli.faces.photo_files import find_pictures
from facecli.types import PixelArray


def scene() -> Image.Image:
    """Return a picture whose corners differ: red, green, blue and white, 60 by 40."""
    pixels = np.zeros((40, 60, 3), dtype=np.uint8)
    pixels[:20, :30] = (200, 0, 0)
    pixels[:20, 30:] = (0, 200, 0)
    pixels[20:, :30] = (0, 0, 200)
    pixels[20:, 30:] = (200, 200, 200)
    return Image.fromarray(pixels)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def decoded(data: bytes) -> PixelArray:
    picture = read_picture(data, "test")
    assert picture.pixels.mode == "RGB"
    return np.asarray(picture.pixels)


def assert_like(pixels: PixelArray, expected: Image.Image, tolerance: int = 12) -> None:
    """Compare away from the edges between colours, where lossy formats differ."""
    want = np.asarray(expected.convert("RGB")).astype(int)
    assert pixels.shape == want.shape
    for y, x in ((10, 15), (10, 45), (30, 15), (30, 45)):
        assert np.abs(pixels[y, x].astype(int) - want[y, x]).max() <= tolerance


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 90}),
        ("PNG", {}),
        ("WEBP", {"quality": 90}),
        ("GIF", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("PPM", {}),
        ("AVIF", {"quality": 95}),
        ("MPO", {"quality": 90, "save_all": True, "append_images": []}),
    ],
)
def test_format_is_recognised_by_content_whatever_the_name(
    tmp_path: Path, kind: str, options: dict[str, object]
) -> None:
    path = tmp_path / "PHOTO.TXT"
    path.write_bytes(encoded(scene(), kind, **options))
    picture = open_picture(path)
    assert_like(np.asarray(picture.pixels), scene())
    assert picture.source == str(path)
    assert picture.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "TIFF", "PNG", "AVIF", "BMP"])
def test_the_xmp_inside_a_photo_is_found_in_each_format_that_has_it(
    tmp_path: Path, kind: str
) -> None:
    packet = b"<x:xmpmeta/>"
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", packet.decode())
    ways: dict[str, dict[str, object]] = {
        "TIFF": {"tiffinfo": {700: packet}},
        "PNG": {"pnginfo": text},
    }
    path = tmp_path / "photo"
    path.write_bytes(encoded(scene(), kind, **ways.get(kind, {"xmp": packet})))
    assert own_xmp(path) == (None if kind == "BMP" else packet)
    assert own_xmp(tmp_path / "nowhere") is None


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_undone(kind: str, orientation: int) -> None:
    """Store the scene as each of the eight orientations would; it must come back upright."""
    # What a camera held that way would have stored: the inverse of the viewer's turn.
    stored = {
        1: lambda image: image,
        2: lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: lambda image: image.rotate(180),
        4: lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: lambda image: image.transpose(Image.Transpose.TRANSPOSE),
        6: lambda image: image.rotate(90, expand=True),
        7: lambda image: image.transpose(Image.Transpose.TRANSVERSE),
        8: lambda image: image.rotate(-90, expand=True),
    }[orientation](scene())
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert_like(decoded(encoded(stored, kind, exif=exif.tobytes())), scene())


@pytest.mark.parametrize("value", [0, 9, 77])
def test_meaningless_orientation_is_ignored(value: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = value
    assert_like(decoded(encoded(scene(), "JPEG", exif=exif.tobytes())), scene())


def test_broken_exif_does_not_cost_the_picture() -> None:
    data = encoded(scene(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff garbage")
    assert_like(decoded(data), scene())


@pytest.mark.parametrize(("mode", "kind"), [("CMYK", "JPEG"), ("CMYK", "TIFF"), ("P", "PNG")])
def test_other_colour_modes_become_rgb(mode: str, kind: str) -> None:
    assert_like(decoded(encoded(scene().convert(mode), kind)), scene())


@pytest.mark.parametrize("mode", ["1", "L"])
def test_grey_and_black_and_white_become_rgb(mode: str) -> None:
    grey = scene().convert(mode)
    assert np.array_equal(decoded(encoded(grey, "PNG")), np.asarray(grey.convert("RGB")))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_scaled_not_clipped(kind: str) -> None:
    """Mid-grey of 16 bits is mid-grey of 8; Pillow's own conversion makes it white."""
    deep = np.full((8, 8), 0x8000, dtype=np.uint16)
    deep[0, 0], deep[0, 1] = 0, 0xFFFF
    pixels = decoded(encoded(Image.fromarray(deep), kind))
    assert pixels[4, 4].tolist() == [128, 128, 128]
    assert pixels[0, 0].tolist() == [0, 0, 0]
    assert pixels[0, 1].tolist() == [255, 255, 255]


@pytest.mark.parametrize(("white", "expected"), [(1.0, 128), (255.0, 128), (65535.0, 128)])
def test_floating_point_pixels_are_scaled_by_their_range(white: float, expected: int) -> None:
    values = np.full((8, 8), white / 2, dtype=np.float32)
    values[0, 0], values[0, 1] = white, np.nan
    pixels = decoded(encoded(Image.fromarray(values), "TIFF"))
    assert pixels[4, 4].tolist() == [expected] * 3
    assert pixels[0, 1].tolist() == [0, 0, 0]


def test_sixteen_bit_colour_keeps_its_high_bits() -> None:
    """Pillow cannot write 16-bit RGB, so the PNG is put together by hand."""

    def chunk(name: bytes, body: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(name + body))
        return struct.pack(">I", len(body)) + name + body + checksum

    row = b"\0" + struct.pack(">3H", 0x8000, 0x4000, 0xC000) * 4
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        [
            chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0)),
            chunk(b"IDAT", zlib.compress(row * 4)),
            chunk(b"IEND", b""),
        ]
    )
    assert decoded(data)[2, 2].tolist() == [0x80, 0x40, 0xC0]


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_pixels_show_the_background_and_half_of_it_where_half_so(mode: str) -> None:
    picture = Image.new("RGBA", (8, 8), (0, 0, 0, 255))
    picture.putpixel((0, 0), (0, 0, 0, 0))
    picture.putpixel((1, 0), (0, 0, 0, 128))
    pixels = decoded(encoded(picture.convert(mode), "PNG"))
    background = np.array(upright.BACKGROUND)
    assert pixels[0, 0].tolist() == background.tolist()
    assert np.abs(pixels[0, 1] - background * 127 / 255).max() <= 1
    assert pixels[4, 4].tolist() == [0, 0, 0]


def test_transparent_palette_colour_shows_the_background() -> None:
    picture = Image.new("P", (8, 8), 1)
    picture.putpalette([9, 9, 9, 0, 0, 0])
    picture.putpixel((0, 0), 0)
    pixels = decoded(encoded(picture, "PNG", transparency=0))
    assert pixels[0, 0].tolist() == list(upright.BACKGROUND)
    assert pixels[4, 4].tolist() == [0, 0, 0]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", "MPO"])
def test_first_frame_of_an_animation_counts(kind: str) -> None:
    others = [Image.new("RGB", (60, 40), colour) for colour in ("black", "yellow")]
    data = encoded(scene(), kind, save_all=True, append_images=others)
    assert_like(decoded(data), scene(), tolerance=20)


@pytest.mark.parametrize(
    "name", ["Ζωή 花子 🙂.jpg", "UPPER.JPG", "spaces and 'quotes'.jpg", "x" * 240 + ".jpg"]
)
def test_unusual_names_open(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(encoded(scene(), "JPEG"))
    assert open_picture(path).pixels.size == (60, 40)


def test_deep_paths_open(tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*["d" * 100] * 12)
    folder.mkdir(parents=True)
    path = folder / "photo.png"
    path.write_bytes(encoded(scene(), "PNG"))
    assert len(str(path)) > 1200
    assert open_picture(path).pixels.size == (60, 40)


# Refusals


def refusal(path: Path) -> str:
    """Open what must be refused and return the message, checked to be one line naming the file."""
    with pytest.raises(PictureError) as caught:
        open_picture(path)
    message = str(caught.value)
    assert message.isprintable()
    assert message.startswith(f"{display_name(path)}: ")
    return message.removeprefix(f"{display_name(path)}: ")


def test_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.jpg"
    path.touch()
    assert refusal(path) == "empty file"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_file_is_refused(tmp_path: Path, kind: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    path = tmp_path / "cut.bin"
    path.write_bytes(data[: int(len(data) * share)])
    assert refusal(path)


JPEGS = [
    {},
    {"progressive": True},
    {"restart_marker_blocks": 2},
    {"quality": 97, "subsampling": 0},
    {"quality": 20},
]


@pytest.mark.parametrize("how", JPEGS)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_may_lack_its_end_and_nothing_else(how: dict[str, object], mode: str) -> None:
    """As a PNG may lack its last chunk: what counts is that all pixels are there."""
    noise = np.random.default_rng(0).integers(0, 256, (75, 101, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise).convert(mode), "JPEG", **how)
    for cut in (1, 2):
        assert np.array_equal(decoded(data[:-cut]), decoded(data))
    for cut in [*range(3, 40), *range(40, len(data), len(data) // 7)]:
        with pytest.raises(PictureError, match=r"truncated|damaged|known format"):
            read_picture(data[:-cut], "cut.jpg")


def test_a_png_may_lack_its_end_and_nothing_else() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (75, 101, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), "PNG")
    for cut in (4, 12):
        assert np.array_equal(decoded(data[:-cut]), noise)
    with pytest.raises(PictureError, match="truncated"):
        read_picture(data[:-40], "cut.png")


def test_a_jpeg_without_its_end_may_be_decoded_smaller() -> None:
    data = encoded(scene().resize((800, 600)), "JPEG")[:-2]
    small = images.decode(data, "x", least=200)
    assert (small.pixels.size, small.size, small.scale) == ((200, 150), (800, 600), 4)


@pytest.mark.parametrize(
    "data", [b"hello", b"\0" * 1000, b"<svg/>", b"%PDF-1.7\n", b"\xff\xd8\xff", b"P6", b"II*\0"]
)
def test_what_is_no_picture_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "fake.jpg"
    path.write_bytes(data)
    assert refusal(path)


@pytest.mark.parametrize("kind", ["PSD", "EPS", "ICO", "TGA", "SGI", "PCX", "JPEG2000"])
def test_formats_people_do_not_have_stay_out_of_reach(tmp_path: Path, kind: str) -> None:
    """Their parsers never see the bytes, even where Pillow would read them."""
    path = tmp_path / "photo.jpg"
    if kind == "PSD":
        path.write_bytes(b"8BPS\0\1" + bytes(200))
    else:
        path.write_bytes(encoded(scene(), kind))
    assert refusal(path) == "not a picture in a known format"


def png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body
    return start + struct.pack(">I", zlib.crc32(body)) + b"\0\0\0\0IDAT"


@pytest.mark.parametrize("side", [12_000, 30_000, 60_000])
def test_decompression_bomb_is_refused_before_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: int
) -> None:
    def decode(self: Image.Image) -> None:
        raise AssertionError("pixels were asked for")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decode)
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(side, side))
    assert refusal(path).startswith("more than 134 million pixels")


def test_limit_is_not_below_what_cameras_make(monkeypatch: pytest.MonkeyPatch) -> None:
    """A 102-megapixel picture is 11,648 by 8,736; one above the limit by a pixel is refused."""
    assert images.MAX_PIXELS > 11_648 * 8_736
    data = encoded(scene(), "PNG")
    monkeypatch.setattr(images, "MAX_PIXELS", 60 * 40)
    assert read_picture(data, "test").pixels.size == (60, 40)
    monkeypatch.setattr(images, "MAX_PIXELS", 60 * 40 - 1)
    with pytest.raises(PictureError, match="60×40"):
        read_picture(data, "test")


def test_huge_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "photo.bmp"
    path.write_bytes(encoded(scene(), "BMP"))
    monkeypatch.setattr(images, "MAX_FILE_BYTES", 100)
    assert refusal(path).startswith("larger than")


def test_folder_missing_file_and_impossible_name_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path) == "a folder, not a picture"
    assert refusal(tmp_path / "absent.jpg") == "no such file or directory"
    assert refusal(tmp_path / "absent" / "photo.jpg") == "no such file or directory"
    assert refusal(tmp_path / ("x" * 300)) == "file name too long"
    assert "null" in refusal(tmp_path / "a\0b")


def test_link_to_itself_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "loop.jpg"
    path.symlink_to(path)
    assert "symbolic links" in refusal(path)


def test_file_without_permission_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "secret.png"
    path.write_bytes(encoded(scene(), "PNG"))
    path.chmod(0)
    if os.access(path, os.R_OK):  # as root nothing is forbidden

        def forbidden(self: Path, mode: str) -> BytesIO:
            raise PermissionError(13, "Permission denied", str(self))

        monkeypatch.setattr(Path, "open", forbidden)
    assert refusal(path) == "permission denied"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "pipe.jpg"
    os.mkfifo(path)
    messages: list[str] = []
    thread = threading.Thread(target=lambda: messages.append(refusal(path)), daemon=True)
    thread.start()
    thread.join(timeout=PATIENT)
    assert messages == ["not a regular file"]


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs device files")
def test_device_is_refused() -> None:
    assert refusal(Path("/dev/zero")) == "not a regular file"


@given(data=st.binary(max_size=200), kind=st.sampled_from(["JPEG", "PNG", "GIF", "TIFF", "WEBP"]))
def test_damaged_bytes_give_pixels_or_one_line(data: bytes, kind: str) -> None:
    """Overwrite the middle of a sound file with anything: never a traceback of another kind."""
    sound = encoded(scene(), kind)
    start = len(sound) // 3
    damaged = sound[:start] + data + sound[start + len(data) :]
    message = ""
    try:
        assert decoded(damaged).shape[2] == 3
    except FacecliError as error:
        message = str(error)
    assert message.isprintable()


@pytest.mark.parametrize("data", [png_header(9_700, 9_700), b"II*\0\x08\0\0\0\xff\xff" + bytes(99)])
def test_pillow_does_not_warn(data: bytes) -> None:
    """The first is large enough for Pillow to warn of a bomb, the second has a broken header."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(PictureError):
            read_picture(data, "test")


# HEIC


HEIC_START = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


def test_heic_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(MissingExtra) as caught:
        read_picture(HEIC_START + bytes(100), "IMG_1.HEIC")
    assert str(caught.value) == "IMG_1.HEIC: HEIC needs pillow-heif: pip install 'facecli[heic]'"


def test_avif_under_the_general_brand_needs_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some writers name the container's brand first and AVIF's only among the compatible ones."""
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    data = encoded(scene(), "AVIF", quality=95)
    assert data[4:12] == b"ftypavif"
    assert b"mif1" in data[:40]
    assert_like(decoded(data[:8] + b"mif1" + data[12:]), scene())


def test_damaged_heic_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a package that registers nothing, the format stays unknown."""
    nothing = SimpleNamespace(register_heif_opener=lambda: None)
    monkeypatch.setitem(sys.modules, "pillow_heif", nothing)
    with pytest.raises(PictureError):
        read_picture(HEIC_START + bytes(100), "IMG_1.HEIC")


def test_heic_opens_with_its_package() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(scene().rotate(90, expand=True), "HEIF", exif=exif.tobytes(), quality=95)
    assert_like(decoded(data), scene(), tolerance=20)


# Names


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("photo.jpg", "photo.jpg"),
        ("Ζωή 花子.jpg", "Ζωή 花子.jpg"),
        ("a\nb: same person", "a\\nb: same person"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("latin1-\udce9.jpg", "latin1-\\udce9.jpg"),
        ("a\u2028b", "a\\u2028b"),
        ("\x9b2J", "\\x9b2J"),
    ],
)
def test_names_are_shown_as_one_harmless_line(name: str, shown: str) -> None:
    assert display_name(name) == shown


@given(st.text(st.characters(), max_size=50))
def test_shown_names_are_printable_and_encodable(name: str) -> None:
    shown = display_name(name)
    assert shown.isprintable()
    shown.encode("utf-8")


def test_refusal_of_a_hostile_name_stays_one_line(tmp_path: Path) -> None:
    path = tmp_path / "x\n\x1b]0;title\x07.jpg"
    path.write_bytes(b"no picture")
    assert refusal(path) == "not a picture in a known format"


# Folders


def test_files_come_in_the_order_given_and_folders_sorted(tmp_path: Path) -> None:
    for name in ("b/2.JPG", "b/10.png", "b/a/1.heic", "b/notes.txt", "b/.hidden.jpg", "b/.x/1.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    given_first, missing = tmp_path / "z.dat", tmp_path / "missing.jpg"
    given_first.touch()
    found = find_pictures([given_first, tmp_path / "b", missing])
    assert found == [
        given_first,
        tmp_path / "b" / "10.png",
        tmp_path / "b" / "2.JPG",
        tmp_path / "b" / "a" / "1.heic",
        missing,
    ]


def test_links_are_followed_once(tmp_path: Path) -> None:
    """A link back to the folder must neither loop nor list its pictures again."""
    folder, other = tmp_path / "folder", tmp_path / "other"
    folder.mkdir()
    other.mkdir()
    (folder / "1.jpg").touch()
    (other / "2.jpg").touch()
    (folder / "again").symlink_to(folder)
    (folder / "other").symlink_to(other)
    (other / "back").symlink_to(folder)
    assert find_pictures([folder]) == [folder / "1.jpg", folder / "other" / "2.jpg"]


def test_unreadable_folder_is_handed_on_so_that_opening_it_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = tmp_path / "locked"
    locked.mkdir()
    (tmp_path / "1.jpg").touch()

    def listing(self: Path, real: object = Path.iterdir) -> object:
        if self == locked:
            raise PermissionError(13, "Permission denied")
        return real(self)  # type: ignore[operator]

    monkeypatch.setattr(Path, "iterdir", listing)
    monkeypatch.setattr(os, "access", lambda path, mode: path != locked)
    assert find_pictures([tmp_path]) == [tmp_path / "1.jpg", locked]
    assert refusal(locked) == "a folder that may not be read"


def test_many_threads_decode_at_once_without_warnings_leaking() -> None:
    """The warning filters are the process's: they must be as they were when all are done."""
    before = list(warnings.filters)
    data = encoded(scene(), "PNG")
    threads = [
        threading.Thread(target=lambda: [read_picture(data, "test") for _ in range(20)])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before
