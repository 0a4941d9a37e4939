"""The PixelLM route: any number of referring masks, named by the phrases of one sentence."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vision_llm_ros.config import MaskConfig, RuntimeConfig
from vision_llm_ros.interfaces import Mask, Perception, Status, Task, TaskSpec
from vision_llm_ros.language.phrases import MAX_TARGETS, Phrase, split_phrases
from vision_llm_ros.model import weights
from vision_llm_ros.model.candidates import Candidates, meant
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.model.geometry import suppress_overlaps, to_xyxy
from vision_llm_ros.model.pixel_lm import PixelLM, Question
from vision_llm_ros.runtime.mask_edges import MaskEdges, tight_box
from vision_llm_ros.runtime.routes import Stopwatch, View

_REMEMBERED_SENTENCES = 16
_SAME_BOX, _SAME_MASK = 0.6, 0.6
_SIDE = 150  # cells along the square that windows are pasted into
_SPARE = 2  # further masks drawn for a phrase, as some turn out to show the same object


@dataclass(frozen=True)
class _Target:
    """A decided target: its phrase, its candidate, the probability that it is meant."""

    phrase: int
    candidate: int
    chance: float


class MaskRoute:
    """Fulfils `routes.Route` for referring masks."""

    def __init__(self, model: VisionLLM, network: PixelLM, weights_hash: str, runtime: RuntimeConfig) -> None:
        self.model, self.network, self.runtime = model, network, runtime
        self.tasks, self.weights_hash = frozenset({Task.SEGMENT}), weights_hash
        self._questions: OrderedDict[tuple[Phrase, ...], Question] = OrderedDict()

    def answer(self, view: View, spec: TaskSpec, watch: Stopwatch) -> Perception:
        """See `routes.Route.answer`. The text interleaves words and masks: "mug is [0], spoons are [1]"."""
        pyramid, dense = view.pyramid, view.image.dense
        phrases = asked(spec)
        self.network.to(pyramid[0].device)
        with watch.stage("instruction"):
            parts, labels = self._meant(phrases)
            question = self._read(parts)
        with watch.stage("decide"):
            decisions = self.network.decide(self.model, pyramid, dense, question)
            targets = self._targets(decisions.logits.sigmoid(), decisions.candidates, parts, spec)
        if not targets:
            return Perception(spec.task, Status.NOTHING_FOUND, tell(phrases, ()))
        with watch.stage("decode"):
            chosen = torch.tensor([(t.phrase, t.candidate) for t in targets], device=decisions.logits.device)
            segs = self.network.describe(self.model, decisions, chosen)
            boxes = decisions.candidates.boxes_cxcywh[chosen[:, 1]]
            logits = self.network.draw(pyramid, segs, boxes).on_square(_SIDE).float()
        with watch.stage("finish"):
            kept = self._distinct(logits, targets, parts, labels, spec.max_objects)
            masks = self._masks(logits, [targets[index] for index in kept], kept, labels, view)
        status = Status.OK if masks else Status.NOTHING_FOUND
        return Perception(spec.task, status, tell(phrases, masks), masks=masks)

    def _meant(self, phrases: tuple[Phrase, ...]) -> tuple[tuple[Phrase, ...], tuple[str, ...]]:
        """What the model is asked, and for each the words of the operator."""
        pairs = [(part, phrase.text) for phrase in phrases for part in meant(self.model.text_encoder, phrase)]
        return tuple(part for part, _ in pairs), tuple(text for _, text in pairs)

    def _read(self, phrases: tuple[Phrase, ...]) -> Question:
        if phrases not in self._questions:
            self._questions[phrases] = self.network.read(self.model, phrases)
        self._questions.move_to_end(phrases)
        while len(self._questions) > _REMEMBERED_SENTENCES:
            self._questions.popitem(last=False)
        return self._questions[phrases]

    def _targets(
        self, chances: Tensor, candidates: Candidates, phrases: tuple[Phrase, ...], spec: TaskSpec
    ) -> list[_Target]:
        """[SEG0] where it is likelier than [end], no more often than the phrase allows; the surest first."""
        boxes = candidates.boxes_cxcywh
        low, high = (boxes.new_tensor(side) for side in (spec.region[:2], spec.region[2:]))
        inside = ((boxes[:, :2] >= low) & (boxes[:, :2] <= high)).all(-1)
        found = []
        for number, phrase in enumerate(phrases):
            order = chances[number].argsort(descending=True)
            order = order[(chances[number] >= self.network.config.threshold)[order] & inside[order]]
            most = _most(phrase, spec) + (_SPARE if _most(phrase, spec) > 1 else 0)
            kept = order[suppress_overlaps(to_xyxy(boxes[order]), torch.zeros_like(order), _SAME_BOX, most)]
            found += [_Target(number, int(index), float(chances[number, index])) for index in kept]
        return sorted(found, key=lambda target: -target.chance)[: 2 * MAX_TARGETS]

    def _distinct(
        self,
        logits: Tensor,
        targets: list[_Target],
        phrases: tuple[Phrase, ...],
        labels: tuple[str, ...],
        max_objects: int,
    ) -> list[int]:
        """Which masks stay: of masks of one phrase that show the same object the surest."""
        inside = (logits > 0).flatten(1).float()
        shared = inside @ inside.T
        areas = inside.sum(1)
        # of the smaller one, so that a part of an object counts as the object
        covered = (shared / torch.minimum(areas[:, None], areas[None]).clamp(min=1)).cpu().numpy()
        kept: list[int] = []
        for index, target in enumerate(targets):
            rivals = [other for other in kept if labels[targets[other].phrase] == labels[target.phrase]]
            room = len(rivals) < phrases[target.phrase].most and len(kept) < (max_objects or MAX_TARGETS)
            if room and all(covered[index, other] < _SAME_MASK for other in rivals):
                kept.append(index)
        return kept

    def _masks(
        self, logits: Tensor, targets: list[_Target], rows: list[int], labels: tuple[str, ...], view: View
    ) -> tuple[Mask, ...]:
        """Masks in source pixels; the score is the mean probability inside times that of the target."""
        edges = MaskEdges(view.transform, view.frame.image_rgb_u8)
        found = []
        for target, row in zip(targets, logits[rows].cpu().numpy(), strict=True):
            inside = edges.to_source(np.ascontiguousarray(row))
            box = tight_box(inside)
            if box is None:
                continue
            score = target.chance * float((1 / (1 + np.exp(-row[row > 0]))).mean()) if (row > 0).any() else 0.0
            if score >= self.runtime.score_threshold:
                found.append(Mask(labels[target.phrase], score, inside, box))
        return tuple(found)


def asked(spec: TaskSpec) -> tuple[Phrase, ...]:
    """The phrases of a command: those of its sentence, or its classes where it has none."""
    if spec.phrase:
        return split_phrases(spec.phrase)
    return tuple(Phrase(name, name) for name in spec.classes)


def tell(phrases: tuple[Phrase, ...], masks: tuple[Mask, ...]) -> str:
    """The answer in words, with the masks by number: "mug is [0], spoons are [1] and [2]; there is no fork"."""
    places = {phrase.text: [i for i, mask in enumerate(masks) if mask.label == phrase.text] for phrase in phrases}
    parts = [
        f"{text} {'is' if len(found) == 1 else 'are'} {' and '.join(f'[{i}]' for i in found)}"
        for text, found in places.items()
        if found
    ]
    missing = [phrase.subject or phrase.text for phrase in phrases if not places[phrase.text]]
    return "; ".join([", ".join(parts)] * bool(parts) + [f"there is no {' and no '.join(missing)}"] * bool(missing))


def load_route(folder: Path, model: VisionLLM, runtime: RuntimeConfig) -> MaskRoute:
    """The route with its trained weights.

    Raises:
        WeightsError: files are missing, damaged or of another shape.
    """
    manifest = weights.read_manifest(folder, MaskConfig)
    network = PixelLM(manifest.config, model)
    own = network.learned(model.llm)
    weights.fill(own, weights.load(folder, sorted({key.partition(".")[0] for key in own})), str(folder))
    return MaskRoute(model, network.eval(), manifest.short_hash, runtime)


def _most(phrase: Phrase, spec: TaskSpec) -> int:
    return min(phrase.most, spec.max_objects or MAX_TARGETS)
