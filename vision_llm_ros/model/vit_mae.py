"""A published ViT-MAE checkpoint as the visual module: preset `base` of the restoration route."""

from __future__ import annotations

import torch
from torch import Tensor

from vision_llm_ros.config import RestoreConfig
from vision_llm_ros.errors import ConfigError
from vision_llm_ros.model.autoencoder import VisualModule
from vision_llm_ros.model.pretrained import load, read_config

_WHAT = "ViT-MAE"
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as MAE was trained


class ViTMae(VisualModule):
    """Encoder and decoder of ViT-MAE at mask ratio 0, patches in their own order; the class token comes first.

    The decoder wants tuning (`train restore --stage autoencoder`): MAE's own loss leaves visible patches poor, and a
    checkpoint trained on normalised patches gives no colours.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: RestoreConfig) -> None:
        """Load the checkpoint `config.visual`.

        Raises:
            ConfigError, WeightsError: see `pretrained.load`; also a checkpoint whose form the settings do not have.
        """
        super().__init__()
        from transformers import ViTMAEForPreTraining

        place = (config.visual, config.visual_revision)
        published = read_config(*place, _WHAT)
        expected = {"image_size": config.tile_px, "patch_size": config.patch_px, "hidden_size": config.width}
        for name, value in expected.items():
            if getattr(published, name, None) != value:
                raise ConfigError(
                    f"{config.visual}: {name} is {getattr(published, name, None)}, the preset says {value}"
                )
        published.mask_ratio = 0.0
        self.published = load(ViTMAEForPreTraining, *place, _WHAT, config=published)
        self.published.vit.requires_grad_(False)
        self.patch_px, self.num_tokens = config.patch_px, config.num_tokens
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(_STD)[:, None, None], persistent=False)

    def encode(self, tiles: Tensor) -> Tensor:
        """Map tiles float[B, 3, T, T], 0..1, to features float[B, 1 + (T/P)^2, D] after the last norm."""
        pixel_values = (tiles - self.mean) / self.std
        return self.published.vit(pixel_values, noise=self._order(tiles).float()).last_hidden_state  # type: ignore[no-any-return]

    def decode(self, features: Tensor) -> Tensor:
        """Map features back to tiles float[B, 3, T, T], about 0..1."""
        patches = self.published.decoder(features, ids_restore=self._order(features)).logits
        return self.published.unpatchify(patches) * self.std + self.mean  # type: ignore[no-any-return]

    def _order(self, batch: Tensor) -> Tensor:
        """int[B, (T/P)^2]: without it, patches are shuffled even when none is hidden."""
        return torch.arange(self.num_tokens - 1, device=batch.device).expand(len(batch), -1)
