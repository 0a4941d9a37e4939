"""The PixelLM route: any number of referring masks, or the box of one object, named by the phrases of one sentence."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vision_llm_ros.config import MaskConfig, RuntimeConfig
from vision_llm_ros.interfaces import Detection, Mask, Perception, Status, Task, TaskSpec
from vision_llm_ros.language.lexicon import plural
from vision_llm_ros.language.phrases import MAX_TARGETS, Phrase, split_phrases
from vision_llm_ros.model import weights
from vision_llm_ros.model.candidates import Candidates
from vision_llm_ros.model.colours import Palette
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.model.geometry import suppress_overlaps, to_xyxy
from vision_llm_ros.model.pixel_lm import PixelLM, Question
from vision_llm_ros.runtime.mask_edges import MaskEdges, tight_box
from vision_llm_ros.runtime.routes import Stopwatch, View

_REMEMBERED_SENTENCES = 16
_SAME_BOX, _SAME_MASK = 0.6, 0.6
_SIDE = 150  # cells along the square that windows are pasted into
_SPARE = 2  # further masks drawn for a phrase, as some turn out to show the same object
_PEERS = 8  # masks drawn for a phrase with a colour


@dataclass(frozen=True)
class _Target:
    """A decided target: its phrase, its candidate, the probability that it is meant."""

    phrase: int
    candidate: int
    chance: float


@dataclass(frozen=True)
class _Asked:
    """A sentence for the model: its phrases, the operator's words for each, and what the network reads."""

    parts: tuple[Phrase, ...]
    labels: tuple[str, ...]
    question: Question


class MaskRoute:
    """Fulfils `routes.Route` for referring masks, and for grounding unless the set decoder is wanted for that."""

    def __init__(self, model: VisionLLM, network: PixelLM, weights_hash: str, runtime: RuntimeConfig) -> None:
        self.model, self.network, self.runtime = model, network, runtime
        self.tasks = frozenset({Task.SEGMENT} if runtime.ground_route == "decoder" else {Task.SEGMENT, Task.GROUND})
        self.weights_hash = weights_hash
        self._questions: OrderedDict[tuple[Phrase, ...], _Asked] = OrderedDict()

    def answer(self, view: View, spec: TaskSpec, watch: Stopwatch) -> Perception:
        """See `routes.Route.answer`. The text interleaves words and masks: "mug is [0], spoons are [1]"."""
        if spec.task is Task.GROUND:
            spec = replace(spec, max_objects=1)
        pyramid, dense = view.pyramid, view.image.dense
        phrases = asked(spec)
        self.network.to(pyramid[0].device)
        with watch.stage("instruction"):
            asked_for = self._read(phrases)
        with watch.stage("decide"):
            decisions = self.network.decide(self.model, pyramid, dense, asked_for.question)
            targets = self._targets(decisions.logits.sigmoid(), decisions.candidates, asked_for.parts, spec)
        if not targets:
            return Perception(spec.task, Status.NOTHING_FOUND, tell(phrases, ()))
        if spec.task is Task.GROUND and not asked_for.parts[targets[0].phrase].colours:
            return _grounded(targets[0], decisions.candidates, asked_for, view)
        with watch.stage("decode"):
            chosen = torch.tensor([(t.phrase, t.candidate) for t in targets], device=decisions.logits.device)
            segs = self.network.describe(self.model, decisions, chosen)
            boxes = decisions.candidates.boxes_cxcywh[chosen[:, 1]]
            logits = self.network.draw(pyramid, segs, boxes).on_square(_SIDE).float()
        with watch.stage("finish"):
            kept = self._distinct(logits, targets, asked_for)
            drawn = self._masks(logits[kept], [targets[index] for index in kept], asked_for, view)
            masks = _allowed(drawn, asked_for, spec.max_objects)
        status = Status.OK if masks else Status.NOTHING_FOUND
        if spec.task is Task.GROUND:
            found = tuple(Detection(mask.label, 0, mask.score, mask.box_xyxy_px) for mask in masks[:1])
            return Perception(spec.task, status, detections=found)
        return Perception(spec.task, status, tell(phrases, masks), masks=masks)

    def _read(self, phrases: tuple[Phrase, ...]) -> _Asked:
        """What depends on words alone, kept for the sentences used last."""
        if phrases not in self._questions:
            meant = [(part, phrase.text) for phrase in phrases for part in self._meant(phrase)]
            parts = tuple(part for part, _ in meant)
            self._questions[phrases] = _Asked(
                parts, tuple(text for _, text in meant), self.network.read(self.model, tuple(map(_uncoloured, parts)))
            )
        self._questions.move_to_end(phrases)
        while len(self._questions) > _REMEMBERED_SENTENCES:
            self._questions.popitem(last=False)
        return self._questions[phrases]

    def _meant(self, phrase: Phrase) -> tuple[Phrase, ...]:
        return self.network.knowledge.meant(self.model.llm, self.model.text_encoder, phrase)

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
            order = order[(chances[number] >= self.runtime.mask_threshold)[order] & inside[order]]
            labels = torch.zeros_like(order)
            kept = order[suppress_overlaps(to_xyxy(boxes[order]), labels, _SAME_BOX, _drawn(phrase, spec))]
            found += [_Target(number, int(index), float(chances[number, index])) for index in kept]
        return sorted(found, key=lambda target: -target.chance)[: 2 * MAX_TARGETS]

    def _distinct(self, logits: Tensor, targets: list[_Target], asked_for: _Asked) -> list[int]:
        """Which masks stay: of masks of one phrase that show the same object the surest."""
        inside = (logits > 0).flatten(1).float()
        shared = inside @ inside.T
        areas = inside.sum(1)
        # of the smaller one, so that a part of an object counts as the object
        covered = (shared / torch.minimum(areas[:, None], areas[None]).clamp(min=1)).cpu().numpy()
        labels = [asked_for.labels[target.phrase] for target in targets]
        kept: list[int] = []
        for index in range(len(targets)):
            if all(covered[index, other] < _SAME_MASK for other in kept if labels[other] == labels[index]):
                kept.append(index)
        return kept

    def _masks(self, logits: Tensor, targets: list[_Target], asked_for: _Asked, view: View) -> list[tuple[int, Mask]]:
        """Masks in source pixels with their phrase's number, best first.

        The score is the mean probability inside times that of the target; what is said of colours lowers the latter
        where the pixels do not show them.
        """
        edges, palette = MaskEdges(view.transform, view.frame.image_rgb_u8), Palette(view.frame.image_rgb_u8)
        found = []
        for target, row in zip(targets, logits.cpu().numpy(), strict=True):
            inside = edges.to_source(np.ascontiguousarray(row))
            box = tight_box(inside)
            if box is None or not (row > 0).any():
                continue
            chance = target.chance * palette.fit(inside, asked_for.parts[target.phrase].colours)
            if chance >= self.runtime.mask_threshold:
                score = chance * float((1 / (1 + np.exp(-row[row > 0]))).mean())
                found.append((target.phrase, Mask(asked_for.labels[target.phrase], score, inside, box)))
        return sorted(found, key=lambda each: -each[1].score)


def _grounded(target: _Target, candidates: Candidates, asked_for: _Asked, view: View) -> Perception:
    """The surest target as a box in source pixels, without drawing its mask."""
    corners = to_xyxy(candidates.boxes_cxcywh[target.candidate : target.candidate + 1]).reshape(2, 2)
    box = view.transform.to_source(corners.float().cpu().numpy()).reshape(-1)
    label = asked_for.labels[target.phrase]
    found = Detection(label, 0, target.chance, (float(box[0]), float(box[1]), float(box[2]), float(box[3])))
    return Perception(Task.GROUND, Status.OK, detections=(found,))


def _uncoloured(phrase: Phrase) -> Phrase:
    """What the network is asked: instead of for "the red car" for all cars, among which the pixels choose."""
    if not phrase.colours or not phrase.subject or phrase.asks or phrase.anchor:
        return phrase
    return Phrase(f"all {plural(phrase.subject)}", phrase.subject)


def _allowed(found: list[tuple[int, Mask]], asked_for: _Asked, max_objects: int) -> tuple[Mask, ...]:
    """The best masks, of every phrase no more than its words allow."""
    kept: list[tuple[int, Mask]] = []
    for number, mask in found:
        if sum(other == number for other, _ in kept) < asked_for.parts[number].most:
            kept.append((number, mask))
    return tuple(mask for _, mask in kept[: max_objects or MAX_TARGETS])


def asked(spec: TaskSpec) -> tuple[Phrase, ...]:
    """The phrases of a command: those of its sentence, or its classes where it has none."""
    if spec.phrase:
        return split_phrases(spec.phrase)
    return tuple(Phrase(name, name) for name in spec.classes)


def tell(phrases: tuple[Phrase, ...], masks: tuple[Mask, ...]) -> str:
    """The answer in words, with the masks by number: "mug is [0], spoons are [1] and [2]; there is no fork".

    Of a use that nothing has: 'nothing here is "something to sit on"'.
    """
    places = {phrase.text: [i for i, mask in enumerate(masks) if mask.label == phrase.text] for phrase in phrases}
    parts = [
        f"{text} {'is' if len(found) == 1 else 'are'} {' and '.join(f'[{i}]' for i in found)}"
        for text, found in places.items()
        if found
    ]
    missing = [phrase for phrase in phrases if not places[phrase.text]]
    things = [phrase.subject for phrase in missing if phrase.subject]
    uses = [f'nothing here is "{phrase.text}"' for phrase in missing if not phrase.subject]
    lacking = [f"there is no {' and no '.join(things)}"] * bool(things)
    return "; ".join([", ".join(parts)] * bool(parts) + lacking + uses)


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


def _drawn(phrase: Phrase, spec: TaskSpec) -> int:
    """How many masks are worth drawing for a phrase: colours are told by pixels, and some masks turn out the same."""
    most = min(phrase.most, spec.max_objects or MAX_TARGETS)
    if phrase.colours:
        return max(most, _PEERS)
    return most + _SPARE if most > 1 else most
