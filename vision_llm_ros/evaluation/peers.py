"""Two published open-vocabulary detectors, built from their public configurations with random weights.

Weights do not change how long a forward pass takes, so nothing is downloaded. The pictures are prepared as the
models' own processors do: resized and normalised within the measured time, as ours are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Image = NDArray[np.uint8]
_MEAN, _STD = np.array((0.485, 0.456, 0.406), np.float32), np.array((0.229, 0.224, 0.225), np.float32)


@dataclass(frozen=True)
class Peer:
    """A detector to be timed.

    Attributes:
        name: key in the report.
        input_wh_px: size the picture is brought to.
        detect: one whole forward pass, picture and words; returns when the answer is on the CPU.
        read: the part that depends on words alone; None where the model mixes words and picture from the start.
    """

    name: str
    input_wh_px: tuple[int, int]
    detect: Callable[[Image], Tensor]
    read: Callable[[], Tensor] | None = None


def owlvit_b32(classes: tuple[str, ...], device: torch.device, dtype: torch.dtype) -> Peer:
    """OWL-ViT B/32 at its 768 pixels; one query of 16 text tokens a class."""
    from transformers import OwlViTConfig, OwlViTForObjectDetection

    config = OwlViTConfig()
    model = _frozen(OwlViTForObjectDetection(config), device, dtype)
    side = config.vision_config.image_size
    ids = _clip_ids(len(classes), config.text_config).to(device)
    words = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}

    def detect(image: Image) -> Tensor:
        pixels = _pixels(image, (side, side), device, dtype)
        return model(pixel_values=pixels, **words).logits.float().cpu()  # type: ignore[no-any-return]

    def read() -> Tensor:
        return model.owlvit.text_model(**words).last_hidden_state.float().cpu()  # type: ignore[no-any-return]

    return Peer("owlvit_b32", (side, side), detect, read)


def grounding_dino_tiny(
    classes: tuple[str, ...], tokenizer: Any, image_wh_px: tuple[int, int], device: torch.device, dtype: torch.dtype
) -> Peer:
    """Grounding DINO with Swin-T; the picture's shorter side is brought to 800 pixels, the longer to at most 1333.

    Args:
        tokenizer: of uncased BERT, its text encoder.
    """
    from transformers import GroundingDinoConfig, GroundingDinoForObjectDetection

    model = _frozen(GroundingDinoForObjectDetection(GroundingDinoConfig(disable_custom_kernels=True)), device, dtype)
    words = tokenizer(" ".join(f"{name}." for name in classes), return_tensors="pt").to(device)
    words = {key: words[key] for key in ("input_ids", "attention_mask", "token_type_ids") if key in words}
    size = _shorter_side(image_wh_px, 800, 1333)

    def detect(image: Image) -> Tensor:
        return model(pixel_values=_pixels(image, size, device, dtype), **words).logits.float().cpu()  # type: ignore[no-any-return]

    return Peer("grounding_dino_tiny", size, detect)


def _frozen(model: Any, device: torch.device, dtype: torch.dtype) -> Any:
    return model.eval().requires_grad_(False).to(device, dtype)


def _clip_ids(count: int, config: Any) -> Tensor:
    """Rows of begin, words and end tokens, as long as the model reads."""
    ids = torch.randint(1000, 2000, (count, config.max_position_embeddings))
    ids[:, 0], ids[:, -1] = config.vocab_size - 2, config.vocab_size - 1
    return ids


def _shorter_side(image_wh_px: tuple[int, int], side_px: int, longest_px: int) -> tuple[int, int]:
    scale = min(side_px / min(image_wh_px), longest_px / max(image_wh_px))
    return round(image_wh_px[0] * scale), round(image_wh_px[1] * scale)


def _pixels(image: Image, size_wh_px: tuple[int, int], device: torch.device, dtype: torch.dtype) -> Tensor:
    """Resize and normalise uint8[H, W, 3] to [1, 3, h, w]."""
    resized = cv2.resize(image, size_wh_px, interpolation=cv2.INTER_LINEAR)
    scaled = (resized.astype(np.float32) / 255 - _MEAN) / _STD
    return torch.from_numpy(scaled).permute(2, 0, 1).unsqueeze(0).to(device, dtype)
