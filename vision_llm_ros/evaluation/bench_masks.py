"""What referring masks cost: latency of a sentence, and the pixel decoder's arithmetic beside SAM's image encoder."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from vision_llm_ros.evaluation.latency import Progress, summary, timed
from vision_llm_ros.interfaces import Engine, Task, TaskSpec
from vision_llm_ros.model.pixel_decoder import NUM_SCALES, TOKENS_PER_SCALE
from vision_llm_ros.model.pixel_lm import PixelLM
from vision_llm_ros.runtime.engine import TorchEngine

TARGETS = (1, 4, 34)
_PLACES = ("on the left", "on the right", "at the top", "next to the table", "in the middle")


def sentences(classes: Sequence[str]) -> Iterator[str]:
    """Sentences without end; each round differs from the one before: "the cup on the left", "every cat"."""
    for place, name in itertools.cycle(itertools.product((*_PLACES, ""), classes)):
        yield f"the {name} {place}" if place else f"every {name}"


def referring_latency(
    engine: Engine, frames: Sequence[NDArray[np.uint8]], classes: Sequence[str], progress: Progress
) -> dict[str, Any] | None:
    """One sentence on one frame, end to end; every frame gets a sentence, then answers it a second time.

    Returns:
        the `latency.summary` of the second time, when the words are known, as in a command that runs on; new_p50_ms of
        the first; masks: mean number. None for a model without a head for masks.
    """
    if Task.SEGMENT not in engine.tasks:
        return None
    specs = (TaskSpec(Task.SEGMENT, phrase=sentence) for sentence in sentences(classes))
    asked = [pair for pair in zip(frames, specs, strict=False) for _ in range(2)]
    times = timed(engine, asked, "masks", progress)
    new = float(np.median([entry.wall_ms for entry in times[::2]]))
    masks = float(np.mean([len(entry.answer.masks) for entry in times]))
    return {**summary(times[1::2]), "new_p50_ms": round(new, 3), "masks": round(masks, 2)}


def decoder_cost(engine: Engine) -> dict[str, Any] | None:
    """Floating-point operations of the pixel decoder against those of SAM's ViT-B image encoder on 1024x1024.

    Returns:
        sam_gflop; gflop {number of targets: with the maps projected}; percent, the same against SAM's; None for a model
        without such a decoder.
    """
    network = _network(engine)
    if network is None:
        return None
    assert isinstance(engine, TorchEngine)
    side = engine.config.image_size_px
    with torch.inference_mode():
        pyramid = engine.model.backbone(torch.zeros(1, 3, side, side, device=engine.model.device))
    sam = sam_encoder_flop()
    counts = {number: pixel_decoder_flop(network, number, pyramid) for number in TARGETS}
    return {
        "sam_gflop": round(sam / 1e9, 2),
        "gflop": {str(number): round(count / 1e9, 4) for number, count in counts.items()},
        "percent": {str(number): round(100 * count / sam, 4) for number, count in counts.items()},
    }


def sam_encoder_flop() -> int:
    """Of the published configuration; shapes alone are computed."""
    from transformers import SamVisionConfig, SamVisionModel

    config = SamVisionConfig()
    with torch.device("meta"):
        encoder = SamVisionModel(config).eval()
        pixels = torch.zeros(1, config.num_channels, config.image_size, config.image_size)
    with _counting() as counter:
        encoder(pixels)
    return int(counter.get_total_flops())


def pixel_decoder_flop(network: PixelLM, targets: int, pyramid: list[Tensor]) -> int:
    """Of `PixelLM.draw` for so many targets of one picture: both maps projected, every mask decoded."""
    device = pyramid[0].device
    segs = torch.zeros(targets, NUM_SCALES, TOKENS_PER_SCALE, network.config.width, device=device)
    boxes = torch.full((targets, 4), 0.5, device=device)
    with _counting() as counter:
        network.draw(pyramid, segs, boxes)
    return int(counter.get_total_flops())


def _network(engine: Engine) -> PixelLM | None:
    route = engine.route(Task.SEGMENT) if isinstance(engine, TorchEngine) else None
    network = getattr(route, "network", None)
    return network if isinstance(network, PixelLM) else None


@contextmanager
def _counting() -> Iterator[FlopCounterMode]:
    """The counter does not know the fused attention of inference, so that is turned off."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            yield counter
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
