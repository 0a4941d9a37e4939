"""Restoration of whole pictures: estimator, visual module, language branch and residual path together."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vision_llm_ros.config import RestoreConfig
from vision_llm_ros.model.autoencoder import MaskedAutoencoder, VisualModule
from vision_llm_ros.model.damage import DamageEstimator, measure
from vision_llm_ros.model.detail import KINDS, DetailNet
from vision_llm_ros.model.llm import LanguageModel
from vision_llm_ros.model.restoration import TASKS, LanguageRestorer
from vision_llm_ros.model.tiles import Tiling


class Restorer(nn.Module):
    """Everything that the restoration route learns; the language model is handed in where it is needed."""

    def __init__(self, config: RestoreConfig, llm_width: int) -> None:
        """Build the network.

        Raises:
            ConfigError, WeightsError: a published visual module is missing or of another form.
        """
        super().__init__()
        self.config = config
        self.autoencoder = _visual_module(config)
        self.language = LanguageRestorer(config, llm_width)
        self.detail = DetailNet(config)
        self.estimator = DamageEstimator(config)
        self.blend = nn.ParameterDict(
            {"weight": nn.Parameter(torch.zeros(len(TASKS))), "alone": nn.Parameter(torch.ones(len(TASKS)))}
        )

    def learned(self) -> dict[str, Tensor]:
        """Every tensor that is stored: autoencoder.*, language.*, detail.*, estimator.*, blend.*.

        Not the encoder of a published visual module, which does not learn.
        """
        return {key: value for key, value in self.state_dict().items() if ".published.vit." not in key}

    def estimate(self, image: Tensor) -> Tensor:
        """Strength float[5], 0..1, of each of `KINDS` in a picture float[3, H, W]."""
        return torch.sigmoid(self.estimator(measure(image).unsqueeze(0))[0])

    def reconstruct(self, image: Tensor) -> Tensor:
        """Pass a picture float[3, H, W] through the visual module alone: MAE-r."""
        tiling = self._tiling(image)
        return tiling.join(self.autoencoder.decode(self.autoencoder.encode(tiling.cut(image)))).clamp(0, 1)

    def by_language(self, llm: LanguageModel, image: Tensor, task: str, strength: float | None = None) -> Tensor:
        """What the language model alone makes of a picture float[3, H, W]; `rotate` gives float[3, W, H].

        Args:
            task: one of `TASKS`.
            strength: of the damage, 0..1, if it is known; else it is estimated.
        Raises:
            ConfigError: the language branch does not know it.
        """
        tiling, share = self._tiling(image), self.blend["alone"][TASKS.index(task)]
        damaged = self.autoencoder.encode(tiling.cut(image))
        features = damaged
        if share > 0:
            strength = self._strength(image, task) if strength is None else strength
            features = damaged + share * (self._speak(llm, damaged, task, strength) - damaged)
        return tiling.join(self.autoencoder.decode(features), task).clamp(0, 1)

    def restore(self, llm: LanguageModel | None, image: Tensor, kind: str, strength: float | None = None) -> Tensor:
        """Restore a picture float[3, H, W], 0..1: the residual path, and the language branch as far as its gate opens.

        Args:
            llm: None leaves the language branch out.
            kind: one of `KINDS`.
            strength: of the damage, 0..1, if it is known; else it is estimated where the language branch has a say.
        """
        place = torch.tensor([KINDS.index(kind)], device=image.device)
        detailed = self.detail(image.unsqueeze(0), place)[0]
        weight = self.blend["weight"][TASKS.index(kind)]
        if llm is None or not self.speaks(kind):
            return detailed.clamp(0, 1)  # type: ignore[no-any-return]
        tiling, strength = self._tiling(image), self._strength(image, kind) if strength is None else strength
        said = self._speak(llm, self.autoencoder.encode(tiling.cut(image)), kind, strength)
        tiles = tiling.cut(detailed)
        changed = self.blended(tiles, said, float(weight))
        return (detailed + tiling.join(changed - tiles)).clamp(0, 1)  # type: ignore[no-any-return]

    def blended(self, tiles: Tensor, said: Tensor, share: float) -> Tensor:
        """Tiles moved towards what the language model says of them, as far as the visual module can tell.

        Args:
            tiles: float[B, 3, T, T].
            said: float[B, N, D], the features that the language model says.
            share: how far, 0..1.
        """
        own, decode = self.autoencoder.encode(tiles), self.autoencoder.decode
        return tiles + decode(own + share * (said - own)) - decode(own)

    def speaks(self, kind: str) -> bool:
        """Whether the language branch has a say in restoring this kind."""
        return bool(self.blend["weight"][TASKS.index(kind)] > 0)

    def num_tokens(self, size_wh_px: tuple[int, int]) -> int:
        """Visual tokens that the language model says of a picture of this size."""
        tiling = Tiling(size_wh_px[::-1], self.config.tile_px, self.config.overlap_px)
        return len(tiling.corners) * self.config.num_tokens

    def _strength(self, image: Tensor, task: str) -> float:
        return float(self.estimate(image)[KINDS.index(task)]) if task in KINDS else 0.0

    def _speak(self, llm: LanguageModel, features: Tensor, task: str, strength: float) -> Tensor:
        tasks = torch.full((len(features),), self.language.place(task), device=features.device)
        return self.language.generate(llm, features, tasks, features.new_full((len(features),), strength))

    def _tiling(self, image: Tensor) -> Tiling:
        return Tiling((image.shape[-2], image.shape[-1]), self.config.tile_px, self.config.overlap_px)


def _visual_module(config: RestoreConfig) -> VisualModule:
    if config.visual == "nano":
        return MaskedAutoencoder(config)
    from vision_llm_ros.model.vit_mae import ViTMae

    return ViTMae(config)
