"""Draw glasses to try training on: many pictures of products that differ in shape and colours.

A product is a frame shape, a lens colour and a frame colour. Most of its pictures show it worn on
a drawn face, the others lying on a light ground, as a shop shows it. Only Pillow is needed.
"""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from facecli.errors import FacecliError, reason_of
from facecli.faces.tables import table_text
from facecli.files import SHARED, replacing
from facecli.types import PixelArray

SIDE = 64
"""Side of a picture in pixels."""

FINER = 4
"""Pictures are drawn so many times larger and then reduced, so that edges are smooth."""

PICTURES = 20
"""Pictures of a product, if nothing else is asked for."""

SHOP = 4
"""One of so many pictures shows the product on a light ground, the others show it worn."""

MARKER = ".facecli-glasses"
"""A file that marks a folder of drawn glasses: they may be drawn again there."""

PNG_EFFORT = 1
"""Compression level, of 9: the pictures are noisy, so more effort gains little."""

Colour = tuple[int, int, int]
Points = npt.NDArray[np.float64]
"""Points as float64 (n, 2): x to the right and y downwards."""

FRAMES: dict[str, Colour] = {"black": (15, 15, 15), "gold": (200, 155, 40), "red": (190, 25, 40)}
LENSES: dict[str, tuple[int, int, int, int]] = {
    "clear": (225, 235, 240, 60),
    "brown": (120, 75, 30, 200),
    "grey": (70, 70, 75, 210),
    "blue": (40, 90, 190, 190),
}
"""Colour and opacity of the glass, of 255."""

SKINS: tuple[Colour, ...] = (
    (255, 224, 196),
    (234, 192, 134),
    (198, 134, 66),
    (141, 85, 36),
    (90, 56, 37),
)
HAIRS: tuple[Colour, ...] = ((30, 24, 22), (84, 52, 28), (150, 100, 50), (205, 170, 100))
WHITE, IRIS, LIGHT = (245, 245, 245), (60, 40, 30), (250, 250, 250)


def _ellipse(width: float, height: float) -> Points:
    turn = np.linspace(0, 2 * math.pi, 40, endpoint=False)
    return np.stack([width * np.cos(turn), height * np.sin(turn)], axis=1)


def _rounded(*corners: tuple[float, float], times: int = 3) -> Points:
    """Return a polygon whose corners were cut `times` times (Chaikin's algorithm)."""
    points = np.array(corners, dtype=np.float64)
    for _ in range(times):
        after = np.roll(points, -1, axis=0)
        points = np.stack([0.75 * points + 0.25 * after, 0.25 * points + 0.75 * after], axis=1)
        points = points.reshape(-1, 2)
    return points


SHAPES: dict[str, Points] = {
    "round": _ellipse(7.4, 7.4),
    "square": _rounded((-8.6, -6.2), (8.6, -6.2), (8.6, 6.2), (-8.6, 6.2), times=0),
    "cat-eye": _rounded(
        (-8.0, -3.2), (2.0, -5.0), (12.5, -11.0), (9.0, 2.5), (3.5, 6.8), (-5.0, 6.8), times=2
    ),
    "aviator": _rounded(
        (-8.6, -7.2), (9.8, -7.2), (10.8, 3.0), (5.0, 12.0), (-2.0, 10.0), (-7.6, 1.5)
    ),
    "oval": _ellipse(8.6, 5.0),
}
"""The rim of the right lens about its centre in pixels of the picture; the outer side is right."""


@dataclass(frozen=True, slots=True)
class Product:
    """One pair of glasses in a shop: keys of SHAPES, LENSES and FRAMES."""

    shape: str
    lens: str
    frame: str

    @property
    def name(self) -> str:
        """Return the name of the product's folder, such as round-clear-black."""
        return f"{self.shape}-{self.lens}-{self.frame}"


PRODUCTS = tuple(Product(*parts) for parts in itertools.product(SHAPES, LENSES, FRAMES))


@dataclass(frozen=True, slots=True)
class Collection:
    """Where drawn glasses are: `pictures` is a folder of products, the others are tables."""

    folder: Path

    @property
    def pictures(self) -> Path:
        """Return the folder with a folder of pictures for each product."""
        return self.folder / "pictures"

    def picture(self, product: Product, number: int) -> Path:
        """Return the path of one picture of a product, counted from 0."""
        return self.pictures / product.name / f"{number:02}.png"

    @property
    def colour(self) -> Path:
        """Return the table of the lens colour of each product."""
        return self.folder / "colour.csv"

    @property
    def shape(self) -> Path:
        """Return the table of the frame shape of each product."""
        return self.folder / "shape.csv"


def draw_collection(
    folder: Path,
    *,
    pictures: int = PICTURES,
    seed: int = 0,
    on_picture: Callable[[], None] = lambda: None,
) -> Collection:
    """Draw so many pictures of each product, and write the tables of colours and shapes.

    The same seed gives the same pictures, whatever their number. `on_picture` is called after each.
    A folder that was drawn before is drawn again: its pictures are replaced, other files are kept.
    Raises FacecliError for any other folder that is not empty, and if a file cannot be written.
    """
    made = Collection(folder)
    try:
        _claim(folder)
        for number, product in enumerate(PRODUCTS):
            place = made.picture(product, 0).parent
            place.mkdir(parents=True, exist_ok=True)
            for former in _drawn(place):
                former.unlink()
            for turn in range(pictures):
                random = np.random.default_rng((seed, number, turn))
                pixels = draw_product(product, random, worn=turn % SHOP != 0)
                _write(made.picture(product, turn), pixels)
                on_picture()
        _write_table(made.colour, lambda product: product.lens)
        _write_table(made.shape, lambda product: product.shape)
    except OSError as error:
        raise FacecliError(reason_of(error)) from error
    return made


def draw_product(product: Product, random: np.random.Generator, *, worn: bool) -> PixelArray:
    """Return a picture of a product, uint8 (SIDE, SIDE, 3), worn on a face or on a light ground.

    Turn, place, size and light vary; so do face, hair and background.
    """
    ground = tuple(random.integers(120, 256, 3).tolist()) if worn else LIGHT
    picture = Image.new("RGB", (SIDE * FINER, SIDE * FINER), ground)
    size = FINER * random.uniform(0.9, 1.1)
    middle = FINER * (SIDE / 2 + random.uniform((-3, -2), (3, 2)))
    pen = _Pen(ImageDraw.Draw(picture, "RGBA"), middle, size)
    if worn:
        _draw_face(pen, random)
    _draw_glasses(pen, product, worn=worn)
    turned = picture.rotate(random.uniform(-8, 8), Image.Resampling.BILINEAR, fillcolor=ground)
    small = turned.reduce(FINER)
    lit = np.asarray(small, np.float32) * random.uniform(0.75, 1.2)
    noisy = lit + random.normal(0, 6, lit.shape)
    return noisy.clip(0, 255).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class _Pen:
    """Draws in pixels of the finished picture about the middle between the eyes."""

    draw: ImageDraw.ImageDraw
    middle: Points
    size: float

    def ellipse(
        self, centre: tuple[float, float], radii: tuple[float, float], fill: Colour
    ) -> None:
        x, y = self.middle + self.size * np.array(centre)
        across, down = self.size * radii[0], self.size * radii[1]
        self.draw.ellipse((x - across, y - down, x + across, y + down), fill=fill)

    def polygon(self, points: Points, fill: tuple[int, ...]) -> None:
        self.draw.polygon(self._placed(points), fill=fill)

    def line(self, points: Points, fill: Colour, width: float = 1.6) -> None:
        broad = round(width * self.size)
        self.draw.line(self._placed(points), fill=fill, width=broad, joint="curve")

    def _placed(self, points: Points) -> list[tuple[float, float]]:
        return [(x, y) for x, y in (self.middle + self.size * points).tolist()]


def _draw_face(pen: _Pen, random: np.random.Generator) -> None:
    """Draw a head with hair, brows, eyes, nose and mouth."""
    skin = SKINS[random.integers(len(SKINS))]
    hair = HAIRS[random.integers(len(HAIRS))]
    shade: Colour = (skin[0] * 3 // 4, skin[1] * 3 // 4, skin[2] * 3 // 4)
    pen.ellipse((0, -4), (27, 29), hair)
    pen.ellipse((0, 4), (24, 30), skin)
    for side in (-1, 1):
        pen.ellipse((11 * side, 0), (4, 2), WHITE)
        pen.ellipse((11 * side, 0), (1.7, 1.7), IRIS)
    pen.line(np.array([(1.0, 3.0), (2.5, 11.0), (-1.0, 11.5)]), shade, 1.0)
    smile = random.uniform(-1, 2)
    pen.line(np.array([(-6.0, 19.0), (0.0, 19.0 + smile), (6.0, 19.0)]), (150, 60, 60), 1.4)


def _draw_glasses(pen: _Pen, product: Product, *, worn: bool) -> None:
    """Draw two lenses with their rims, the bridge between them, and arms if they are worn."""
    frame = FRAMES[product.frame]
    rim = SHAPES[product.shape]
    for side in (-1, 1):
        placed = rim * (side, 1) + (11.5 * side, 0)
        pen.polygon(placed, LENSES[product.lens])
        pen.line(np.concatenate([placed, placed[:2]]), frame)
        if worn:
            hinge = np.abs(placed[:, 0]).max() - 1
            pen.line(np.array([(side * hinge, -2.5), (side * 24.0, -3.5)]), frame)
    inner = 11.5 + rim[:, 0].min()
    pen.line(np.array([(-inner - 0.5, -2.0), (inner + 0.5, -2.0)]), frame)


def _claim(folder: Path) -> None:
    """Make a folder and mark it as our own; raise FacecliError if it holds files of others."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARKER).is_file():
        raise FacecliError(f"{folder}: holds files that are not drawn glasses; name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).touch()


def _drawn(place: Path) -> Iterator[Path]:
    """Yield the pictures that were drawn in a product's folder before."""
    return (one for one in list(place.glob("*.png")) if one.stem.isdecimal())


def _write(path: Path, pixels: PixelArray) -> None:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG", compress_level=PNG_EFFORT)
    try:
        path.write_bytes(data.getvalue())
    except OSError as error:
        error.filename = str(path)  # the error of a full disk names no file
        raise


def _write_table(path: Path, label: Callable[[Product], str]) -> None:
    rows = [(product.name, label(product)) for product in PRODUCTS]
    with replacing(path, mode=SHARED) as stream:
        stream.write(table_text(("person", "label"), rows).encode())
