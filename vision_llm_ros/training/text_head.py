"""The last phase of learning to write: the language model rests, what follows it learns alone.

Its states behind every caption are computed once and kept; a step then costs a hundredth of one through the language
model, so that the choice of words sees every caption many times.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vision_llm_ros.config import DecoderTextTrainConfig
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.model.text_decoder import IGNORED, Seen, TextDecoder
from vision_llm_ros.training.loop import Loop
from vision_llm_ros.training.text_data import TextBatch, TextData
from vision_llm_ros.training.text_loop import HEAD_PHASE

_AT_ONCE = 4


@dataclass(frozen=True)
class Kept:
    """States float16[N, D] of some texts about one picture, and the token int[N] that follows each."""

    seen: Seen
    states: Tensor
    wanted: Tensor


@dataclass(frozen=True)
class HeadBatch:
    """Pictures of one step, with the number of states of each."""

    seen: Seen
    states: Tensor
    wanted: Tensor
    counts: Tensor


@torch.no_grad()
def keep_states(
    model: VisionLLM, decoder: TextDecoder, data: TextData, progress: Callable[[int], object]
) -> list[Kept]:
    """Run the language model over captions and questions of all pictures once.

    Args:
        progress: is told how many pictures were done.
    """
    model.eval()
    decoder.eval()
    kept: list[Kept] = []
    for start in range(0, len(data.described), _AT_ONCE):
        pictures = data.described[start : start + _AT_ONCE]
        kept += _kept(model, decoder, data.captions_of(pictures))
        asked = [picture for picture in pictures if picture.image_id in data.questions]
        if asked:
            kept += _kept(model, decoder, data.questions_of(asked))
        progress(len(pictures))
    return kept


def _kept(model: VisionLLM, decoder: TextDecoder, batch: TextBatch) -> list[Kept]:
    asked, texts = batch.asked.to(model.device), batch.texts.to(model.device)
    states = decoder.states(model.llm, batch.seen.to(model.device), asked, texts).half().cpu()
    kept = []
    for row, wanted in enumerate(batch.wanted.flatten(1)):
        learnt = wanted != IGNORED
        one = Seen(*(value[row : row + 1].half() for value in vars(batch.seen).values()))
        kept.append(Kept(one, states[row, learnt], wanted[learnt]))
    return kept


class HeadTrainer(Loop[HeadBatch]):
    """The loop over kept states; neither the adapter nor the image tokens learn."""

    parts = ("words",)

    def __init__(
        self,
        model: VisionLLM,
        decoder: TextDecoder,
        kept: Sequence[Kept],
        config: DecoderTextTrainConfig,
        folder: Path,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.model, self.decoder, self.kept, self.smoothing = model, decoder, kept, config.smoothing
        model.requires_grad_(False)
        decoder.requires_grad_(False)
        learning = [
            parameter.requires_grad_(True)
            for part in (decoder.scene, decoder.gist, decoder.read, decoder.head)
            for parameter in part.parameters()
        ]
        learning.append(decoder.bias.requires_grad_(True))
        config = replace(config, steps=config.head_steps, batch_size=config.head_batch)
        groups = [{"params": learning, "lr": config.learning_rate}]
        super().__init__({"system": HEAD_PHASE}, config, groups, folder, model.device, dtype)

    def learned(self) -> dict[str, Tensor]:
        return self.decoder.learned(self.model.llm)

    def prepare(self) -> None:
        self.decoder.train()

    def draw(self, seed: tuple[int, ...], step: int) -> list[HeadBatch]:
        places = np.random.default_rng(seed).integers(len(self.kept), size=self.config.batch_size)
        some = [self.kept[int(place)] for place in places]
        seen = Seen.joined([one.seen for one in some])
        counts = torch.tensor([len(one.wanted) for one in some])
        states, wanted = torch.cat([one.states for one in some]).float(), torch.cat([one.wanted for one in some])
        return [HeadBatch(seen, states, wanted, counts)]

    def loss(self, batch: HeadBatch) -> tuple[Tensor, dict[str, float]]:
        states, wanted, counts = (value.to(self.device) for value in (batch.states, batch.wanted, batch.counts))
        merged = self.decoder.merged(batch.seen.to(self.device)).repeat_interleave(counts, 0)
        loss = self.decoder.cost(self.model.llm, states, merged, wanted, self.smoothing)
        return loss, {"words": float(loss.detach())}
