"""Published vision backbones as a pyramid: ResNet, Swin, ConvNeXt, DINOv2, CLIP and others of transformers.

They are frozen and bring their own weights, so nothing of them is stored with ours. What a backbone lacks in coarse
levels is pooled from its last one; plain vision transformers give the patches of two depths (PixelLM, section 3.2).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from vision_llm_ros.config import ModelConfig
from vision_llm_ros.errors import ConfigError, WeightsError
from vision_llm_ros.model.pretrained import guarded, load, locate, read_config
from vision_llm_ros.model.pyramid import MobileNetV2Pyramid

_WHAT = "backbone"
_LEVELS = 4
_COARSE_STRIDE, _FINE_STRIDE = 12, 6
_PROBE_PX = 128
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class _ClipMaps(nn.Module):
    """CLIP's vision transformer with the output of an AutoBackbone."""

    def __init__(self, net: nn.Module, depths: tuple[int, int], patch_px: int) -> None:
        super().__init__()
        self.net, self.depths, self.patch_px = net, depths, patch_px

    def forward(self, pixel_values: Tensor) -> list[Tensor]:
        output = self.net(pixel_values, output_hidden_states=True, interpolate_pos_encoding=True)
        rows, columns = pixel_values.shape[-2] // self.patch_px, pixel_values.shape[-1] // self.patch_px
        states = [output.hidden_states[depth][:, 1:] for depth in self.depths]  # the first is the class token
        return [state.transpose(1, 2).unflatten(-1, (rows, columns)) for state in states]


class HubPyramid(nn.Module):
    """Features at stride 8 (or the nearest), then at strides 16, 32, 64, 128 (or the nearest), of an RGB picture.

    Attributes:
        channels: of each map, finest first.
        strides: of each map, pixels.
        patch_px: side of a patch of a plain vision transformer, of which the input must be a multiple; else 1.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, source: str, revision: str = "") -> None:
        """Load the checkpoint.

        Raises:
            ConfigError, WeightsError: see `pretrained.load`; also a model that is no backbone.
        """
        super().__init__()
        self.net, plain = _load_net(source, revision)
        self.net.requires_grad_(False).eval()
        mean, std = _normalization(source, revision)
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1) * 255, persistent=False)
        with torch.no_grad():
            maps = self._maps(torch.zeros(1, 3, _PROBE_PX, _PROBE_PX))
        self._native = [round(_PROBE_PX / features.shape[-1]) for features in maps]
        self.patch_px: int = self._native[-1] if plain else 1
        arranged = self._arrange(maps)
        self.channels: tuple[int, ...] = tuple(features.shape[1] for features in arranged)
        self.strides: tuple[int, ...] = tuple(self._arranged_strides(len(arranged)))

    def forward(self, image_rgb_u8: Tensor) -> list[Tensor]:
        """Encode pictures.

        Args:
            image_rgb_u8: uint8[B, 3, H, W] or the same values as floats 0..255.
        Returns:
            five maps float[B, C_l, H_l, W_l], finest first.
        Raises:
            ConfigError: H or W is no multiple of the patch.
        """
        if any(side % self.patch_px for side in image_rgb_u8.shape[-2:]):
            raise ConfigError(f"Expected sides that are multiples of {self.patch_px}, got {image_rgb_u8.shape[-2:]}")
        return self._arrange(self._maps((image_rgb_u8.to(self.mean.dtype) - self.mean) / self.std))

    def _maps(self, pixel_values: Tensor) -> list[Tensor]:
        output = self.net(pixel_values)
        return list(output if isinstance(output, list) else output.feature_maps)

    def _arrange(self, maps: list[Tensor]) -> list[Tensor]:
        """One fine map, then the coarse ones, the missing ones pooled."""
        fine, coarse = _split(maps, self._native)
        while len(coarse) < _LEVELS:
            height, width = coarse[-1].shape[-2:]
            coarse.append(functional.adaptive_avg_pool2d(coarse[-1], ((height + 1) // 2, (width + 1) // 2)))
        return [fine, *coarse]

    def _arranged_strides(self, count: int) -> list[int]:
        fine, strides = _split(self._native, self._native)
        while len(strides) < count - 1:
            strides.append(strides[-1] * 2)
        return [fine, *strides]


def _split(values: list[Any], strides: list[int]) -> tuple[Any, list[Any]]:
    """Apart what belongs to the finest useful map and to the coarse ones; a plain transformer's first depth is fine."""
    if len(set(strides)) == 1:
        return values[0], values[-1:]
    coarse = [value for value, stride in zip(values, strides, strict=True) if stride >= _COARSE_STRIDE]
    fine = [value for value, stride in zip(values, strides, strict=True) if _FINE_STRIDE <= stride < _COARSE_STRIDE]
    coarse = coarse or values[-1:]
    return (fine[-1] if fine else coarse[0]), coarse[:_LEVELS]


def _load_net(source: str, revision: str) -> tuple[nn.Module, bool]:
    """The network, giving maps, and whether it is a plain vision transformer."""
    from transformers import CLIPVisionModel
    from transformers.models.auto.modeling_auto import MODEL_FOR_BACKBONE_MAPPING, MODEL_FOR_BACKBONE_MAPPING_NAMES

    config = read_config(source, revision, _WHAT)
    if config.model_type in ("clip", "clip_vision_model"):
        vision = getattr(config, "vision_config", config)
        net = load(CLIPVisionModel, source, revision, _WHAT, config=vision, dtype=torch.float32)
        # the last layer serves the class token only; the one before it is read (LLaVA, section 4.1)
        depths = vision.num_hidden_layers * 2 // 3, vision.num_hidden_layers - 1
        return _ClipMaps(net, depths, vision.patch_size), True
    if config.model_type not in MODEL_FOR_BACKBONE_MAPPING_NAMES or config.model_type == "timm_backbone":
        known = ", ".join(sorted({"clip", *MODEL_FOR_BACKBONE_MAPPING_NAMES} - {"timm_backbone"}))
        raise WeightsError(f"{source!r} is a {config.model_type!r} model and no backbone; expected one of {known}")
    stages = config.stage_names[1:]
    plain = not hasattr(config, "depths")
    config.out_features = [stages[len(stages) * 2 // 3 - 1], stages[-1]] if plain else stages
    model_class = MODEL_FOR_BACKBONE_MAPPING[type(config)]
    # the norms that backbones put on the maps of each stage are not in classifiers' checkpoints
    norms = "hidden_states_norms"
    return load(model_class, source, revision, _WHAT, norms, config=config, dtype=torch.float32), plain


def _normalization(source: str, revision: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of RGB 0..1 that the checkpoint expects; ImageNet's where it does not say."""
    from transformers.image_processing_base import ImageProcessingMixin

    location = locate(source, revision, _WHAT)
    try:
        with guarded(source, revision, _WHAT):
            values, _ = ImageProcessingMixin.get_image_processor_dict(location, revision=revision or None)
    except WeightsError:
        return _IMAGENET
    return tuple(values.get("image_mean", _IMAGENET[0])), tuple(values.get("image_std", _IMAGENET[1]))


def build_backbone(config: ModelConfig) -> MobileNetV2Pyramid | HubPyramid:
    """The pyramid a preset names.

    Raises:
        ConfigError: the picture's side does not fit the backbone's patches.
        WeightsError: a published backbone cannot be loaded.
    """
    if config.backbone != "hub":
        return MobileNetV2Pyramid()
    pyramid = HubPyramid(config.backbone_source, config.backbone_revision)
    if config.image_size_px % pyramid.patch_px:
        near = max(round(config.image_size_px / pyramid.patch_px), 1) * pyramid.patch_px
        raise ConfigError(
            f"ModelConfig.image_size_px: {config.backbone_source!r} needs a multiple of {pyramid.patch_px}, "
            f"got {config.image_size_px}; take {near}"
        )
    return pyramid
