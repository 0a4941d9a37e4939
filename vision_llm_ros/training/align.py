"""Stage 1 of the Q-Former: ITC, ITM and ITG on frozen features (BLIP-2, section 3.2)."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import Parameter, functional

from vision_llm_ros.config import AlignConfig
from vision_llm_ros.model.blip import Blip, Look, similarity
from vision_llm_ros.model.qformer import Tokens
from vision_llm_ros.training.align_data import AlignBatch, AlignData
from vision_llm_ros.training.loop import Loop

_COLDEST, _WARMEST = -5.3, 0.0  # of the temperature's logarithm: 0.005 .. 1


def contrast_loss(cosines: Tensor, log_temperature: Tensor, smoothing: float) -> Tensor:
    """ITC: mean of both cross-entropies, picture to sentence and back; cosines float[B, B], pairs on the diagonal."""
    logits = cosines / log_temperature.clamp(_COLDEST, _WARMEST).exp()
    own = torch.arange(len(logits), device=logits.device)
    both = [functional.cross_entropy(table, own, label_smoothing=smoothing) for table in (logits, logits.T)]
    return torch.stack(both).mean()


def hard_negatives(logits: Tensor) -> Tensor:
    """For each row of float[B, B] a column other than its own, drawn by its softmax: int[B] (ALBEF, section 3.2)."""
    chances = logits.detach().softmax(-1) + 1e-6
    return chances.fill_diagonal_(0).multinomial(1).squeeze(1)


def learnable(blip: Blip, but: tuple[str, ...] = ()) -> list[Parameter]:
    """What of `blip` learns, all else frozen: everything but the fitted reduction and names that begin with `but`."""
    found = []
    for name, parameter in blip.named_parameters():
        parameter.requires_grad_(not name.startswith(("image.reduce.", *but)))
        found += [parameter] if parameter.requires_grad else []
    return found


class AlignTrainer(Loop[AlignBatch]):
    """The loop over stage 1."""

    parts = ("itc", "itm", "itg")
    config: AlignConfig

    def __init__(self, blip: Blip, data: AlignData, config: AlignConfig, folder: Path, device: torch.device) -> None:
        self.blip, self.data = blip, data
        self._vocabulary = data.vocabulary().to(device)
        fitted = [*blip.scene.vector.parameters(), *blip.matcher.text_vector.parameters()]
        fresh = learnable(blip, ("teller.", "scene.", "matcher.text_vector."))
        for parameter in fitted:
            parameter.requires_grad_(True)
        rate = config.learning_rate
        groups = [{"params": fresh, "lr": rate}, {"params": fitted, "lr": rate / 10}]
        super().__init__({"system": "align"}, config, groups, folder, device)

    def learned(self) -> dict[str, Tensor]:
        return self.blip.state_dict()

    def prepare(self) -> None:
        self.blip.train()

    def describe(self, batch: AlignBatch) -> str:
        return "pairs"

    def draw(self, seed: tuple[int, ...], step: int) -> list[AlignBatch]:
        return [self.data.draw(self.config.batch_size, seed)]

    def loss(self, batch: AlignBatch) -> tuple[Tensor, dict[str, float]]:
        blip, config = self.blip, self.config
        keys, visible = blip.image(batch.seen)
        scene = blip.scene(batch.seen, visible)
        visible = visible & (torch.rand_like(visible, dtype=keys.dtype) >= config.key_dropout)
        images, texts = blip.image_vectors(keys, visible, scene), blip.text_vectors(batch.sentences)
        table = similarity(images, texts)
        itc = contrast_loss(table, blip.matcher.log_temperature, config.smoothing)
        pairs = min(config.pairs, len(keys))
        some = torch.arange(pairs)
        looks = Look(batch.seen, keys, visible, images)[some]
        itm = self._fit_loss(looks, batch.text[some], texts[some], table[:pairs, :pairs])
        told = torch.arange(len(keys))[-min(config.told, len(keys)) :]
        itg = self._writing_loss(keys[told], visible[told], batch.text[told])
        parts = {"itc": itc, "itm": itm, "itg": itg}
        return itc + itm + itg, {name: float(part.detach()) for name, part in parts.items()}

    def _fit_loss(self, looks: Look, text: Tokens, sentences: Tensor, table: Tensor) -> Tensor:
        """ITM: each pair, each sentence with a hard picture, each picture with a hard sentence."""
        logits = table / self.blip.matcher.log_temperature.exp()
        own = torch.arange(len(table), device=table.device)
        pictures = torch.cat([own, hard_negatives(logits.T), own])
        texts = torch.cat([own, own, hard_negatives(logits)])
        found = self.blip.fit_logits(looks[pictures], text[texts], sentences[texts])
        wanted = (torch.arange(3 * len(own), device=own.device) < len(own)).long()
        return functional.cross_entropy(found, wanted)

    def _writing_loss(self, keys: Tensor, visible: Tensor, text: Tokens) -> Tensor:
        """ITG: every token from those before it and the picture."""
        states = self.blip.written(keys, visible, text)[:, :-1]
        wanted, real = text.ids[:, 1:], text.real[:, 1:]
        rows = self.blip.qformer.encoder.bert.embeddings.word_embeddings.weight[self._vocabulary]
        logits = self.blip.writer(states[real], rows)
        places = torch.searchsorted(self._vocabulary, wanted[real])
        return functional.cross_entropy(logits, places, label_smoothing=self.config.smoothing)
