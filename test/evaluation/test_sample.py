from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from vision_llm_ros.errors import RecordingError
from vision_llm_ros.evaluation import sample
from vision_llm_ros.evaluation.bags import BagReader


def test_recording_has_the_promised_size_rate_and_length(tmp_path: Path) -> None:
    with BagReader(sample.sample_recording(1.6, tmp_path)) as bag:
        images = list(bag.images(bag.choose()))
    assert len(images) == 16
    assert {later.stamp_ns - image.stamp_ns for image, later in pairwise(images)} == {100_000_000}
    assert images[0].decode().size_wh_px == (640, 480)


def test_recording_is_made_once_and_then_found(tmp_path: Path) -> None:
    first = sample.sample_recording(0.4, tmp_path)
    made = (first / "metadata.yaml").stat().st_mtime_ns
    assert sample.sample_recording(0.4, tmp_path) == first
    assert (first / "metadata.yaml").stat().st_mtime_ns == made
    assert [entry.name for entry in tmp_path.iterdir()] == [first.name]


def test_two_runs_film_the_same_pixels() -> None:
    scenes = sample.available_scenes()
    for (_, one), (_, two) in zip(sample.filmed(scenes, 0.8), sample.filmed(scenes, 0.8), strict=True):
        assert (one == two).all()


def test_camera_moves_within_a_scene() -> None:
    frames = [image for _, image in sample.filmed(sample.SCENES[:1], 0.5)]
    assert all((one != two).any() for one, two in pairwise(frames))


def test_noisy_stretch_is_noisier_than_the_same_view_without_noise() -> None:
    image = np.full((48, 64, 3), 128, np.uint8)
    assert sample._noisy(image, 1).std() > sample.NOISE_SIGMA / 2
    assert any(scene.noisy for scene in sample.SCENES)


def test_every_photograph_is_credited(tmp_path: Path) -> None:
    assert len(sample.attribution()) == len(sample.available_scenes()) >= 5


def test_missing_photographs_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = sample.Scene("no_such_package", "x.png", "", (0, 0, 1), (0, 0, 1))
    monkeypatch.setattr(sample, "SCENES", (scene,))
    with pytest.raises(RecordingError, match=r"no_such_package.*pip install"):
        sample.sample_recording()


def test_unwritable_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RecordingError, match="Cannot write the sample recording"):
        sample.sample_recording(0.1, tmp_path / "file")
