"""Training of the referring mask network (PixelLM, section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vision_llm_ros.config import MaskTrainConfig
from vision_llm_ros.language.phrases import Phrase
from vision_llm_ros.model.candidates import Candidates
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.model.geometry import pairwise_iou, to_xyxy
from vision_llm_ros.model.pixel_decoder import sample_windows
from vision_llm_ros.model.pixel_lm import ADAPTER, Decisions, PixelLM, Question
from vision_llm_ros.training.loop import Loop
from vision_llm_ros.training.mask_losses import claimed_twice, dice_loss, refinement_loss, token_loss
from vision_llm_ros.training.refer_data import ReferBatch, ReferData
from vision_llm_ros.training.team import Team

_SAME_IOU, _OTHER_IOU = 0.5, 0.35
_IN_CROWD = 0.5
_FIT = 6.0  # logits that an IoU of 1 is worth in the choice among candidates of one object
_OVERLAP_SIDE = 76


def learnable(network: PixelLM, shared: VisionLLM, config: MaskTrainConfig) -> list[dict[str, Any]]:
    """Parameter groups; pyramid, text encoder, image tokenizer and the language model itself stay as they are."""
    shared.requires_grad_(False)
    network.requires_grad_(False)
    concepts = [network.evidence.to_concepts.weight, network.from_concepts.weight]
    weighing = [p for part in (network.prior, network.prior_text, network.stress) for p in part.parameters()]
    if config.stage == 1:
        fresh, lora, known = weighing, list[nn.Parameter](), concepts[:1]
    else:
        known = [*concepts, *weighing]
        early = {id(parameter) for parameter in (*known, *network.knowledge.parameters())}
        fresh = [parameter for parameter in network.parameters() if id(parameter) not in early]
        lora = [parameter for name, parameter in shared.llm.base.named_parameters() if f".{ADAPTER}." in name]
    rate = config.learning_rate
    groups = [{"params": fresh, "lr": rate}, {"params": lora, "lr": rate}, {"params": known, "lr": rate / 10}]
    for parameter in (*fresh, *lora, *known):
        parameter.requires_grad_(True)
    return [group for group in groups if group["params"]]


class ReferTrainer(Loop[ReferBatch]):
    """The loop over pictures with phrases."""

    config: MaskTrainConfig
    parts = ("text", "mask", "dice", "targets")

    def __init__(
        self,
        network: PixelLM,
        shared: VisionLLM,
        data: ReferData,
        config: MaskTrainConfig,
        folder: Path,
        dtype: torch.dtype = torch.float32,
        team: Team | None = None,
    ) -> None:
        self.network, self.shared, self.data = network, shared, data
        groups = learnable(network, shared, config)
        super().__init__({"stage": config.stage}, config, groups, folder, shared.device, dtype, team)

    def learned(self) -> dict[str, Tensor]:
        return self.network.learned(self.shared.llm)

    def prepare(self) -> None:
        self.shared.eval()
        self.shared.llm.train()
        self.network.train()

    def describe(self, batch: ReferBatch) -> str:
        return "refer"

    def draw(self, seed: tuple[int, ...], step: int) -> list[ReferBatch]:
        if self.team.rank:
            seed = (*seed, self.team.rank)
        return self.data.draw(self.config.batch_size, seed)

    def loss(self, batch: ReferBatch) -> tuple[Tensor, dict[str, float]]:
        with torch.no_grad():
            pyramid = self.shared.backbone(batch.image_rgb_u8.to(self.device))
            dense = self.shared.tokenizer.dense(pyramid[1:])
        question = self.network.read(self.shared, batch.phrases)
        if self.config.stage == 1:
            candidates = self.network.evidence.propose(dense, question.text, self.network.config.candidates)
            logits = self.network.weigh(candidates, question)[1]
            return self._text_loss(logits, self._assign(candidates, question, batch), batch.phrases)
        decisions = self.network.decide(self.shared, pyramid, dense, question)
        assigned = self._assign(decisions.candidates, question, batch)
        text, parts = self._text_loss(decisions.logits, assigned, batch.phrases)
        masks, mask_parts = self._mask_loss(pyramid, decisions, assigned, batch)
        return text + masks, {**parts, **mask_parts}

    @torch.no_grad()
    def _assign(self, candidates: Candidates, question: Question, batch: ReferBatch) -> Assigned:
        relevance = self.network.evidence.relevance(candidates.semantics, question.text.subjects)
        return assign(candidates.boxes_cxcywh, relevance, batch)

    def _text_loss(
        self, logits: Tensor, assigned: Assigned, phrases: tuple[Phrase, ...]
    ) -> tuple[Tensor, dict[str, float]]:
        single = torch.tensor([phrase.most == 1 for phrase in phrases], device=logits.device)
        loss = token_loss(logits, assigned.wanted, assigned.known, single)
        return self.config.text_weight * loss, {"text": loss.item(), "targets": assigned.wanted.sum().item()}

    def _mask_loss(
        self, pyramid: list[Tensor], decisions: Decisions, assigned: Assigned, batch: ReferBatch
    ) -> tuple[Tensor | float, dict[str, float]]:
        objects = assigned.objects
        chosen = self._chosen(assigned.wanted & batch.outlined.to(objects.device)[objects], objects)
        if not len(chosen):
            return 0.0, {}
        segs = self.network.describe(self.shared, decisions, chosen)
        drawn = self.network.draw(pyramid, segs, decisions.candidates.boxes_cxcywh[chosen[:, 1]])
        logits, windows = drawn.combined, drawn.windows_cxcywh
        masks = batch.masks.to(logits.device)[objects[chosen[:, 0], chosen[:, 1]]]
        targets = _in_windows(masks, windows, logits.shape[-1])
        with torch.no_grad():
            twice = claimed_twice(drawn.on_square(_OVERLAP_SIDE) > 0, chosen[:, 0])
            overlap = _in_windows(twice.to(logits.dtype), windows, logits.shape[-1]) > _IN_CROWD
        mask = refinement_loss(logits, targets, overlap, self.config.refinement)
        dice = dice_loss(logits, targets)
        loss = self.config.mask_weight * mask + self.config.dice_weight * dice
        return loss, {"mask": mask.item(), "dice": dice.item()}

    def _chosen(self, allowed: Tensor, object_of: Tensor) -> Tensor:
        """Targets whose masks are learnt, int[K, 2]: different objects first."""
        places = allowed.nonzero()
        places = places[torch.randperm(len(places), device=places.device)]
        seen: dict[int, list[int]] = {}
        for row, (phrase, candidate) in enumerate(places.tolist()):
            seen.setdefault(int(object_of[phrase, candidate]), []).append(row)
        turns = sorted((turn, row) for rows in seen.values() for turn, row in enumerate(rows))
        return places[[row for _, row in turns[: self.config.masks]]]


@dataclass(frozen=True)
class Assigned:
    """What candidates stand for.

    Attributes:
        wanted: bool[P, M], targets of a phrase.
        known: bool[P, M], False where it is left open.
        objects: int[P, M], the object a target stands for.
    """

    wanted: Tensor
    known: Tensor
    objects: Tensor


def assign(boxes_cxcywh: Tensor, relevance: Tensor, batch: ReferBatch) -> Assigned:
    """Give the objects of a picture to candidates float[M, 4], each object to one.

    An object that a phrase means goes to the candidate of IoU 0.5 or more that is most relevant (float[P, M], logits)
    and fits best; the others that overlap it are told to be repetitions. Left open is what lies in a crowd, and from
    IoU 0.35 on what overlaps an object that no candidate fits.
    """
    device = boxes_cxcywh.device
    objects, meant, crowd = batch.boxes_cxcywh.to(boxes_cxcywh), batch.meant.to(device), batch.crowd.to(device)
    corners, regions = to_xyxy(boxes_cxcywh), to_xyxy(objects)
    iou = pairwise_iou(corners, regions)[0].expand(len(meant), -1, -1)
    fits = (iou >= _SAME_IOU) & (meant & ~crowd).unsqueeze(1)
    merit = torch.where(fits, relevance.unsqueeze(-1) + _FIT * iou, -torch.inf)
    found = fits.any(1)
    chosen = torch.zeros_like(fits).scatter(1, merit.argmax(1, keepdim=True), found.unsqueeze(1))
    lost = (iou >= _OTHER_IOU) & (meant & ~crowd & ~found).unsqueeze(1)
    inside = (_share_inside(corners, regions) > _IN_CROWD) & (meant & crowd).unsqueeze(1)
    wanted = chosen.any(-1)
    return Assigned(wanted, wanted | ~(lost | inside).any(-1), chosen.float().argmax(-1))


def _in_windows(masks: Tensor, windows_cxcywh: Tensor, side: int) -> Tensor:
    """Masks float[K, H, W] over the square as seen in a window each: float[K, side, side]; 0 beyond the square."""
    each = [
        sample_windows(mask[None, None], window[None], side, "zeros")
        for mask, window in zip(masks, windows_cxcywh, strict=True)
    ]
    return torch.cat(each).squeeze(1)


def _share_inside(boxes_xyxy: Tensor, regions_xyxy: Tensor) -> Tensor:
    """Share of each box's area inside each region: float[M, N]."""
    low = torch.maximum(boxes_xyxy[:, None, :2], regions_xyxy[None, :, :2])
    high = torch.minimum(boxes_xyxy[:, None, 2:], regions_xyxy[None, :, 2:])
    area = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).clamp(min=1e-6).prod(-1, keepdim=True)
    return (high - low).clamp(min=0).prod(-1) / area
