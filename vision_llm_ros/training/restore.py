"""Learning to restore, stage by stage: the visual module, the residual path, the estimator of damage.

The visual module learns from clean photographs alone: first to imagine hidden patches (MAE), then, with nothing
hidden, to give back every pixel (LM4LV tunes its decoder so, as MAE's own loss leaves visible patches poor).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from vision_llm_ros.config import RestoreConfig, RestoreTrainConfig
from vision_llm_ros.model.autoencoder import MaskedAutoencoder
from vision_llm_ros.model.damage import DamageEstimator, measure
from vision_llm_ros.model.detail import KINDS, DetailNet
from vision_llm_ros.training.loop import Loop
from vision_llm_ros.training.restore_data import Damaged, Image, Photographs, to_tensor, weakened

_STARTING_TILES = 1500
_FLOOR = 5e-5
_SCALES = 3
_MOST_ENLARGED = 1.5
_CROP_PX = 64


class StageLoop(Loop[Damaged]):
    """What the stages share: one module learns from photographs.

    Attributes:
        module: what learns; stored under `name`.
    """

    name = ""
    config: RestoreTrainConfig
    kinds: tuple[str, ...] = KINDS

    def __init__(
        self,
        module: nn.Module,
        photographs: Photographs,
        config: RestoreConfig,
        train: RestoreTrainConfig,
        folder: Path,
        device: torch.device,
    ) -> None:
        self.module, self.photographs, self.network = module.to(device), photographs, config
        super().__init__({"stage": train.stage}, train, self.groups(train.learning_rate), folder, device)

    def groups(self, rate: float) -> list[dict[str, Any]]:
        """Parameter groups of the optimizer."""
        return [{"params": list(self.module.parameters()), "lr": rate}]

    def learned(self) -> dict[str, Tensor]:
        return {f"{self.name}.{key}": value for key, value in self.module.state_dict().items()}

    def prepare(self) -> None:
        self.module.train()

    def describe(self, batch: Damaged) -> str:
        return self.name


class AutoencoderLoop(StageLoop):
    """Stages masked and autoencoder."""

    name, parts = "autoencoder", ("pixels", "gradients")
    module: MaskedAutoencoder

    def start(self) -> None:
        """Begin as principal components of patches of the photographs."""
        from vision_llm_ros.model.autoencoder import patchify

        rng = np.random.default_rng(self.config.seed)
        tiles = self.photographs.tiles(_STARTING_TILES, self.network.tile_px, rng)
        self.module.start_from(patchify(tiles, self.network.patch_px).flatten(0, 1).to(self.device))
        self.average = {key: value.detach().clone() for key, value in self.learned().items()}

    def groups(self, rate: float) -> list[dict[str, Any]]:
        """The encoder learns ten times slower: its features shall stay near principal components."""
        inner = ("embed.", "places", "encoder.")
        named = list(self.module.named_parameters())
        encoder = [parameter for name, parameter in named if name.startswith(inner)]
        decoder = [parameter for name, parameter in named if not name.startswith(inner)]
        return [{"params": decoder, "lr": rate}, {"params": encoder, "lr": rate / 10}]

    def draw(self, seed: tuple[int, ...], step: int) -> list[Damaged]:
        rng = np.random.default_rng(seed)
        tiles = self.photographs.tiles(self.config.batch_size, self.network.tile_px, rng)
        number = self.network.num_tokens
        if self.config.stage == "masked":  # which patches are kept takes the place of the kinds
            number = max(1, round(number * (1 - self.config.mask_ratio)))
        kept = torch.from_numpy(rng.random((len(tiles), self.network.num_tokens)).argsort(1)[:, :number])
        return [Damaged(tiles, tiles, kept, torch.zeros(0))]

    def loss(self, batch: Damaged) -> tuple[Tensor, dict[str, float]]:
        tiles = batch.clean.to(self.device)
        if self.config.stage == "masked":
            kept = batch.kinds.to(self.device)
            given = self.module.decode(self.module.encode(tiles, kept), kept)
        else:
            given = self.module(tiles)
        pixels, edges = functional.l1_loss(given, tiles), gradient_loss(given, tiles)
        return pixels + edges, {"pixels": float(pixels.detach()), "gradients": float(edges.detach())}


class DetailLoop(StageLoop):
    """Stage detail: the root of each crop's squared error, softened where there is next to none to undo."""

    name, parts = "detail", ("psnr",)
    module: DetailNet

    def draw(self, seed: tuple[int, ...], step: int) -> list[Damaged]:
        rng, side = np.random.default_rng(seed), min(_CROP_PX, self.photographs.size_px)
        return [self.photographs.damaged(self.config.batch_size, side, self.kinds, rng)]

    def loss(self, batch: Damaged) -> tuple[Tensor, dict[str, float]]:
        restored = self.module(batch.damaged.to(self.device), batch.kinds.to(self.device))
        error = (restored - batch.clean.to(self.device)).square().mean((1, 2, 3))
        return (error + _FLOOR).sqrt().mean(), {"psnr": -10 * float((error.detach() + _FLOOR).log10().mean())}


class EstimatorLoop(StageLoop):
    """Stage estimator: strengths of damage from statistics of whole squares, measured once.

    Some squares are enlarged first, as cameras give softer pictures than photographs made small.
    """

    name, parts = "estimator", ("strength",)
    module: DamageEstimator

    def start(self, pictures: int) -> None:
        """Measure `pictures` damaged squares, the examples of every step."""
        rng = np.random.default_rng(self.config.seed)
        measured, strengths = [], []
        for number in range(pictures):
            kind = KINDS[number % len(KINDS)]
            image, strength = weakened(_enlarged(self.photographs.any_square(rng), rng), kind, rng)
            measured.append(measure(to_tensor([image])[0].to(self.device)))
            strengths.append(strength)
        self.measured, self.strengths = torch.stack(measured), torch.from_numpy(np.stack(strengths))
        self.module.normalise(self.measured)
        self.average = {key: value.detach().clone() for key, value in self.learned().items()}

    def draw(self, seed: tuple[int, ...], step: int) -> list[Damaged]:
        chosen = torch.from_numpy(np.random.default_rng(seed).integers(0, len(self.measured), self.config.batch_size))
        seen = self.measured[chosen]
        return [Damaged(seen, seen, chosen, self.strengths[chosen])]

    def loss(self, batch: Damaged) -> tuple[Tensor, dict[str, float]]:
        loss = functional.binary_cross_entropy_with_logits(
            self.module(batch.damaged.to(self.device)), batch.strengths.to(self.device)
        )
        return loss, {"strength": float(loss.detach())}


def _enlarged(square: Image, rng: np.random.Generator) -> Image:
    if rng.random() < 0.5:
        return square
    side = round(len(square) * rng.uniform(1.0, _MOST_ENLARGED))
    return np.asarray(cv2.resize(square, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8)


def gradient_loss(given: Tensor, wanted: Tensor) -> Tensor:
    """Difference of the slopes of two batches of pictures over several scales: a perceptual loss that needs no network.

    Args:
        given, wanted: float[B, 3, H, W].
    """
    difference, total = given - wanted, given.new_zeros(())
    for _ in range(_SCALES):
        total = total + difference.diff(dim=-1).abs().mean() + difference.diff(dim=-2).abs().mean()
        difference = functional.avg_pool2d(difference, 2)
    return total / (2 * _SCALES)
