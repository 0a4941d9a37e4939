"""Pictures and sentences compared: ITC for many, ITM for the likeliest, one calibrated probability."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vision_llm_ros.errors import UnsupportedTaskError
from vision_llm_ros.interfaces import WHOLE_IMAGE, Box, Engine, Frame, Perception, Task, TaskSpec
from vision_llm_ros.model.blip import Blip, Look, similarity, together
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.model.qformer import tokenize
from vision_llm_ros.model.qformer_image import Seen
from vision_llm_ros.runtime.routes import View

if TYPE_CHECKING:
    from vision_llm_ros.runtime.text_route import TextRoute

_PAIRS_A_CALL = 64


@dataclass(frozen=True)
class Fit:
    """How well a sentence fits a picture: ITC's cosine, ITM's logit, and the probability of both together."""

    similarity: float
    fit_logit: float
    probability: float

    @property
    def fit_probability(self) -> float:
        """ITM's own."""
        return _sigmoid(self.fit_logit)


class Matcher:
    """Compares pictures with sentences; words are computed once and remembered by the text encoder."""

    def __init__(self, model: VisionLLM, blip: Blip) -> None:
        self.model, self.blip, self.config = model, blip, blip.config

    def look(self, view: View, region: Box = WHOLE_IMAGE) -> Look:
        """The sentence-free part, once per picture and region."""
        return self.look_at(self.blip.image.see(view.pyramid, view.image.dense), region)

    @torch.inference_mode()
    def look_at(self, seen: Seen, region: Box = WHOLE_IMAGE) -> Look:
        """The same for features computed before."""
        return self.blip.look(seen, region)

    @torch.inference_mode()
    def look_frame(self, frame: Frame) -> Look:
        """A frame outside of the engine's own stream."""
        return self.look(View(frame, self.model, _nobody))

    @torch.inference_mode()
    def similarities(self, looks: Sequence[Look], sentences: Sequence[str]) -> Tensor:
        """ITC: cosines float[len(looks), len(sentences)]."""
        texts = self.blip.text_vectors(self.model.text_encoder(tuple(plain(text) for text in sentences)))
        return similarity(torch.cat([look.vectors for look in looks]), texts)

    @torch.inference_mode()
    def fit_logits(self, pairs: Sequence[tuple[Look, str]]) -> Tensor:
        """ITM: float[len(pairs)], positive where the sentence fits."""
        found = []
        for start in range(0, len(pairs), _PAIRS_A_CALL):
            part = pairs[start : start + _PAIRS_A_CALL]
            words = [plain(sentence) for _, sentence in part]
            text = tokenize(self.model.text_encoder, words)
            sentences = self.blip.text_vectors(self.model.text_encoder(tuple(words)))
            logits = self.blip.fit_logits(together([look for look, _ in part]), text, sentences)
            found.append(logits[:, 1] - logits[:, 0])
        return torch.cat(found)

    def fits(self, pairs: Sequence[tuple[Look, str]]) -> list[Fit]:
        """Both, and the calibrated probability that the sentence is true of the picture."""
        cosines = [float(self.similarities([look], [text])) for look, text in pairs]
        logits = self.fit_logits(pairs).tolist()
        return [Fit(*both, self.probability(*both)) for both in zip(cosines, logits, strict=True)]

    def probability(self, cosine: float, fit_logit: float) -> float:
        """Calibrated on pairs held out from training, half of them shuffled."""
        config = self.config
        logit = config.match_similarity * cosine + config.match_fit * fit_logit + config.match_bias
        return _sigmoid(logit)


def find_matcher(engine: Engine | None) -> Matcher | None:
    """The matcher of an engine; None where it has none."""
    route = find_text_route(engine)
    return route.matcher if route else None


def find_text_route(engine: Engine | None) -> TextRoute | None:
    """The Q-Former's route of an engine; None where it has none."""
    from vision_llm_ros.runtime.engine import TorchEngine
    from vision_llm_ros.runtime.text_route import TextRoute

    route = engine.route(Task.MATCH) if isinstance(engine, TorchEngine) else None
    return route if isinstance(route, TextRoute) else None


def matcher_of(engine: Engine) -> Matcher:
    """The matcher of an engine.

    Raises:
        UnsupportedTaskError: it does not match pictures and sentences.
    """
    matcher = find_matcher(engine)
    if matcher is None:
        served = ", ".join(sorted(engine.tasks)) or "nothing"
        raise UnsupportedTaskError(f"Model {engine.name!r} cannot match pictures and sentences; it serves {served}")
    return matcher


def plain(sentence: str) -> str:
    """Lower-case, one line, without a full stop: as captions are learnt."""
    return " ".join(sentence.lower().split()).rstrip(" .!?")


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-max(min(logit, 50.0), -50.0)))


def _nobody(spec: TaskSpec) -> Perception:
    raise AssertionError(f"Nobody to ask for {spec.task}")
