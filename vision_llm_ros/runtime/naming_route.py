"""What is marked, called by its name: the region token beside what is told about the cut-out."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import torch

from vision_llm_ros.config import RegionTokenConfig
from vision_llm_ros.interfaces import WHOLE_IMAGE, Caption, Perception, Status, Task, TaskSpec
from vision_llm_ros.language.saying import REGION_NAMES
from vision_llm_ros.language.words import COCO_CLASSES
from vision_llm_ros.model import weights
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.model.marks import mark_of
from vision_llm_ros.model.region_token import RegionToken, Vocabulary, look_at, num_channels
from vision_llm_ros.runtime.routes import Route, Stopwatch, View

PART = "region"
_WHAT_IS_IT = re.compile(
    r"what(?: kind of (?:thing|object)| thing| object)? (?:is|are) (?:this|that|it|these|those)"
    r"(?: thing| object| one)?(?: called| here| there)?\??",
    re.IGNORECASE,
)


class Namer:
    """Names marked regions by their tokens; its weights are read when it is first asked."""

    def __init__(self, folder: Path, model: VisionLLM) -> None:
        """Take a part of a weights folder; what it learnt on is `model`'s pyramid and anchors.

        Raises:
            WeightsError: the manifest is missing, damaged or another system's.
        """
        self.folder, self.model = folder, model
        self.manifest = weights.read_manifest(folder, RegionTokenConfig)

    @cached_property
    def _token(self) -> RegionToken:
        width = self.model.text_encoder.width
        token = RegionToken(num_channels(self.model.backbone.channels), width, self.manifest.config.hidden_width)
        own = {f"token.{key}": value for key, value in token.state_dict().items()}
        weights.fill(own, weights.load(self.folder, ("token",)), str(self.folder))
        return token.to(self.model.device).eval()

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        words = self.model.text_encoder(COCO_CLASSES).float().to(self.model.device)
        return Vocabulary(words, self.model.tokenizer.scorer.mixtures(words).float())

    def name(self, view: View, spec: TaskSpec) -> tuple[str, float]:
        """The likeliest name of what a command marks, and its probability."""
        mask, box = mark_of(spec.region, spec.prompt, view.transform)
        drawn, corners = (torch.from_numpy(part)[None].to(self.model.device) for part in (mask, box))
        look = look_at(view.pyramid, view.image.dense, drawn, corners)
        with torch.autocast(self.model.device.type, enabled=False):
            chances = self._token.names(look.exact(), self._vocabulary)[0].softmax(-1)
        best = int(chances.argmax())
        return COCO_CLASSES[best], float(chances[best])


class NamingRoute:
    """Fulfils `routes.Route` for captions and answers: names what is marked, leaves the rest to those that tell."""

    def __init__(self, namer: Namer, telling: dict[Task, Route]) -> None:
        """Take the routes that tell about pictures, by their tasks."""
        self.namer, self.telling, self.tasks = namer, telling, frozenset(telling)
        self.weights_hash = namer.manifest.short_hash
        self._names = True

    @contextlib.contextmanager
    def nameless(self) -> Iterator[None]:
        """Answer as without the region token, for comparison."""
        self._names = False
        try:
            yield
        finally:
            self._names = True

    def answer(self, view: View, spec: TaskSpec, watch: Stopwatch) -> Perception:
        """See `routes.Route.answer`. A name that is not likely enough is mentioned in the text only."""
        told = self.telling[spec.task].answer(view, spec, watch)
        if not self._names or not asks_for_a_name(spec):
            return told
        with watch.stage("name"):
            name, likely = self.namer.name(view, spec)
        if likely < self.namer.manifest.config.threshold:
            return _with(told, f"what is marked may be: {name} ({likely:.0%})", told.caption)
        return _named(told, spec, name, likely)


def asks_for_a_name(spec: TaskSpec) -> bool:
    """Whether a caption or an answer is about one marked thing as a whole; "the left side" is no mark."""
    if spec.region == WHOLE_IMAGE:
        return False
    if spec.task is Task.ANSWER:
        return _WHAT_IS_IT.fullmatch(spec.phrase.strip()) is not None
    return not spec.phrase and (spec.prompt is not None or spec.region not in REGION_NAMES)


def _named(told: Perception, spec: TaskSpec, name: str, likely: float) -> Perception:
    """An answer becomes the name; a caption that does not say it gets it in front."""
    said = told.caption.text if told.caption else ""
    if spec.task is Task.ANSWER:
        note = f"named by its region; the cut-out alone: {said!r}" if said else "named by its region"
        return _with(told, note, Caption(name, likely, spec.phrase))
    inside = re.search(rf"\b{re.escape(name)}(?:e?s)?\b", said, re.IGNORECASE)
    text = said if inside else f"{name.capitalize()}: {said[:1].lower()}{said[1:]}".rstrip(": ")
    return _with(told, f"what is marked: {name} ({likely:.0%})", Caption(text, likely))


def _with(told: Perception, note: str, caption: Caption | None) -> Perception:
    text = f"{told.text}; {note}" if told.text else note
    status = Status.OK if caption is not None and told.status is Status.NOTHING_FOUND else told.status
    return Perception(told.task, status, text, caption=caption, stage_ms=told.stage_ms)
