"""What a captioner must beat: the caption that people wrote most often, and that of the picture most alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from vision_llm_ros.errors import ConfigError, InputError
from vision_llm_ros.evaluation.trial import Image
from vision_llm_ros.interfaces import Engine
from vision_llm_ros.runtime.engine import TorchEngine
from vision_llm_ros.runtime.pictures import read_picture
from vision_llm_ros.training.datasets import CaptionSet

NAMES = ("frequent", "nearest")
_LEVEL, _CELLS, _SIDE_PX = 2, 2, 160
Look = Callable[[Image], NDArray[np.float32]]


class CaptionBaselines:
    """Answers every picture without a language model, from other pictures' captions."""

    def __init__(self, training: CaptionSet, look: Look, quiet: bool = False) -> None:
        """Look at every training picture; those that cannot be read are left out.

        Args:
            look: a picture's features, float32[D].
        Raises:
            InputError: no training picture can be read.
        """
        self._look = look
        texts = Counter(text for captions in training.captions.values() for text in captions)
        self.frequent = texts.most_common(1)[0][0]
        self._captions: list[str] = []
        rows = []
        for picture in tqdm(training.pictures, desc="baselines", unit="picture", disable=quiet):
            try:
                rows.append(_unit(look(read_picture(picture.path))))
            except InputError:
                continue
            self._captions.append(training.captions[picture.image_id][0])
        if not rows:
            raise InputError(f"None of {len(training.pictures)} training pictures can be read")
        self._mean = np.mean(rows, 0)
        self._rows = np.stack([_unit(row - self._mean) for row in rows])

    def captions(self, image: Image) -> dict[str, str]:
        """What each of NAMES says of a picture."""
        likeness = self._rows @ _unit(_unit(self._look(image)) - self._mean)
        return {"frequent": self.frequent, "nearest": self._captions[int(likeness.argmax())]}


def backbone_features(engine: Engine | None) -> Look:
    """Features of a small copy of the picture: the stride-32 map of the engine's backbone, averaged over 2 x 2 cells.

    Raises:
        ConfigError: the engine has no backbone of ours.
    """
    if not isinstance(engine, TorchEngine):
        raise ConfigError("The nearest picture is found by the model's backbone: this model has none to look with")
    backbone, device = engine.model.backbone, engine.model.device

    @torch.inference_mode()
    def look(image: Image) -> NDArray[np.float32]:
        small = torch.from_numpy(cv2.resize(image, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA))
        features = backbone(small.permute(2, 0, 1).unsqueeze(0).to(device))[_LEVEL]
        pooled = torch.nn.functional.adaptive_avg_pool2d(features, _CELLS)
        return np.asarray(pooled.flatten().float().cpu().numpy(), np.float32)

    return look


def _unit(row: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(row / max(float(np.linalg.norm(row)), 1e-9), np.float32)
