"""`facecli evaluate clustering`: how `facecli cluster` would do, folders being the truth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from fakes import THRESHOLD, FakeDetector, FakeEncoder, PaintedFace, paint
from people import crowd, samples_of
from sklearn.cluster import KMeans

from facecli.albums.scanning import scan
from facecli.cli import cli
from facecli.cli.settings import Settings
from facecli.datasets import read_photo_set
from facecli.errors import FaceError
from facecli.evaluation.clustering import measure_clustering
from facecli.evaluation.samples import gather
from facecli.metrics import bcubed_score
from facecli.models import DIMENSION
from facecli.stores.library import Library
from facecli.types import Detector, Encoder
from facecli.vectors.distances import normalize


def test_figures_by_hand() -> None:
    """Ada's two and one of Bob's are put together, Bob's other is alone, nobody's is not scored."""
    rows = np.zeros((5, DIMENSION), np.float32)
    rows[[0, 1, 2, 4], [0, 0, 0, 0]] = rows[3, 1] = 1.0
    samples = samples_of(rows, ["Ada", "Ada", "Bob", "Bob", ""], failed=["Eve"])
    result = measure_clustering(samples, threshold=1.0)
    assert (result.photos, result.people, result.found) == (5, 2, 2)
    assert (result.unnamed, result.failures) == (1, 1)
    assert (result.pairwise.precision, result.pairwise.recall) == (1 / 3, 1 / 2)
    assert (result.bcubed.precision, result.bcubed.recall) == pytest.approx((2 / 3, 3 / 4))


def test_k_and_the_rates_are_obeyed() -> None:
    samples = crowd(0, people=30, photos=4)
    assert measure_clustering(samples, threshold=1.0, k=7).found == 7
    rates = {"1e-1": 1.0, "1e-2": 0.5}
    assert measure_clustering(samples, threshold=1.0, rates=rates).threshold < 0.5
    with pytest.raises(FaceError, match="not 121"):
        measure_clustering(samples, threshold=1.0, k=121)


def test_nobody_named_is_an_error() -> None:
    samples = samples_of(normalize(np.ones((2, DIMENSION))), ["", ""])
    with pytest.raises(FaceError, match="no face of anyone named"):
        measure_clustering(samples, threshold=1.0)


@pytest.mark.parametrize("as_json", [False, True])
def test_the_command_scores_a_folder_of_people(tmp_path: Path, as_json: bool) -> None:
    for number in range(3):
        paint(tmp_path / "Ada" / f"{number}.png", PaintedFace(0, number))
        paint(tmp_path / "Bob" / f"{number}.png", PaintedFace(1, number))
    paint(tmp_path / "Bob" / "landscape.png")
    settings = Settings(detector=FakeDetector(), encoder=FakeEncoder(), library=Library.memory())
    arguments = ["evaluate", "clustering", str(tmp_path), *["--json"] * as_json]
    result = CliRunner().invoke(cli, arguments, obj=settings)
    assert result.exit_code == 1, "a photo had no face"
    if as_json:
        record = json.loads(result.stdout)
        assert (record["kind"], record["people"], record["found"]) == ("clustering_score", 2, 2)
        assert (record["bcubed"]["f"], record["threshold"]) == (1.0, THRESHOLD)
    else:
        assert "6 photos, model fake-128, clustered within 0.5 squared L2" in result.stdout
        assert "2 people, 2 found" in result.stdout


@pytest.mark.faces
@pytest.mark.network
def test_development_people_are_found_better_than_by_kmeans_that_knows_how_many(
    faces: Path, tmp_path: Path, real_detector: Detector, real_encoder: Encoder
) -> None:
    """Of each 17th person of LFW's, most of them seen once; all 1,711 gave BCubed F 0.970."""
    folders = sorted((faces / "dev" / "lfw" / "images").iterdir())[::17]
    for folder in folders:
        (tmp_path / folder.name).mkdir()
        for photo in folder.iterdir():
            (tmp_path / folder.name / photo.name).symlink_to(photo)
    photos = read_photo_set(tmp_path)
    with Library.memory() as library:
        scanned = scan(
            [photos.root / path for path in photos.paths],
            library=library,
            detector=real_detector,
            encoder=real_encoder,
            workers=1,
        )
        samples = gather(photos, scanned, real_encoder.card.dimension)
    card = real_encoder.card
    result = measure_clustering(samples, threshold=card.threshold, rates=card.thresholds)
    plain = KMeans(len(folders), n_init=3, random_state=0).fit_predict(samples.embeddings)
    assert result.people == len(folders)
    assert result.bcubed.f >= 0.96
    assert abs(result.found - result.people) <= 0.1 * result.people
    assert result.bcubed.f > bcubed_score(samples.people, plain).f
