from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scene import HEIGHT, WIDTH, KnowingEngine, Scene, make_scene
from torch import nn

from vision_llm_ros.errors import ConfigError, InputError
from vision_llm_ros.evaluation import telling
from vision_llm_ros.evaluation.caption_baselines import CaptionBaselines, backbone_features
from vision_llm_ros.evaluation.trial import Image, Trial
from vision_llm_ros.training.datasets import CaptionSet, load_captions


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return make_scene(tmp_path)


def look(image: Image) -> np.ndarray:
    return np.asarray(image[::8, ::8].astype(np.float32).ravel())


def test_the_nearest_picture_lends_its_first_caption(scene: Scene) -> None:
    dataset = load_captions(scene.captions_file, scene.folder)
    baselines = CaptionBaselines(dataset, look, quiet=True)
    found = telling.caption(Trial(KnowingEngine(scene), quiet=True), dataset, dataset.pictures, baselines)
    assert found["baselines"]["nearest"]["bleu4"] == pytest.approx(1.0)
    assert found["baselines"]["frequent"]["bleu4"] < 1.0
    assert telling.caption(Trial(KnowingEngine(scene), quiet=True), dataset, dataset.pictures)["baselines"] == {}


def test_the_caption_written_most_often_is_said_of_every_picture(scene: Scene) -> None:
    dataset = load_captions(scene.captions_file, scene.folder)
    captions = {key: (*texts, "an animal") for key, texts in dataset.captions.items()}
    baselines = CaptionBaselines(CaptionSet(dataset.pictures, captions), look, quiet=True)
    assert baselines.captions(np.zeros((HEIGHT, WIDTH, 3), np.uint8))["frequent"] == "an animal"


def test_training_pictures_that_cannot_be_read_are_left_out(scene: Scene) -> None:
    dataset = load_captions(scene.captions_file, scene.folder)
    for number in range(5):
        (scene.folder / f"pictures/{number}.png").unlink()
    said = CaptionBaselines(dataset, look, quiet=True).captions(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    assert said["nearest"] == dataset.captions[5][0]
    (scene.folder / "pictures/5.png").unlink()
    with pytest.raises(InputError, match="None of 6 training pictures"):
        CaptionBaselines(dataset, look, quiet=True)


def test_a_model_without_a_backbone_cannot_look(scene: Scene) -> None:
    with pytest.raises(ConfigError, match="this model has none"):
        backbone_features(KnowingEngine(scene))


def test_the_backbones_features_tell_pictures_apart(tiny_model: nn.Module) -> None:
    import copy

    from vision_llm_ros.config import RuntimeConfig
    from vision_llm_ros.model.weights import Manifest
    from vision_llm_ros.runtime.engine import TorchEngine

    model = copy.deepcopy(tiny_model)
    engine = TorchEngine(model, Manifest(model.config, {}, (), {}), RuntimeConfig(device="cpu", threads=1))  # type: ignore[arg-type]
    see = backbone_features(engine)
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    assert see(image).shape == (model.backbone.channels[2] * 4,)  # type: ignore[index,operator,union-attr]
    assert np.array_equal(see(image), see(image))
    assert not np.array_equal(see(image), see(image[:, ::-1].copy()))
