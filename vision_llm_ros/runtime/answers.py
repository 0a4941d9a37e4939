"""Answers from closed sets: the language model ranks the candidates, the detector on the same frame is heard too.

Where the thing is found, its side and its colour are measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from vision_llm_ros.config import QFormerConfig
from vision_llm_ros.interfaces import Detection, Task, TaskSpec
from vision_llm_ros.language.questions import CANDIDATES, SIDES, Asked, Kind
from vision_llm_ros.language.words import BASIC_COLOURS
from vision_llm_ros.model.colours import colour_shares, name_pixels
from vision_llm_ros.model.llm import LanguageModel
from vision_llm_ros.model.prompt_writer import IGNORED, QUESTION, Prompt, PromptWriter
from vision_llm_ros.runtime.routes import View

_OFF_THE_MIDDLE = 0.1
_SIDE_SURE = 0.85
_SMALLEST_SIDE_PX = 4
_NOT_SURE = "not sure"


@dataclass(frozen=True)
class Answer:
    """An answer, how sure it is (0..1), and a remark: disagreement with the detector, or why it is not sure."""

    text: str
    score: float
    note: str = ""


class Answerer:
    """Chooses among the candidates of a kind of question.

    Attributes:
        alone: what the language model alone found likeliest of the last question; "" where it was not heard.
    """

    def __init__(self, llm: LanguageModel, writer: PromptWriter, config: QFormerConfig) -> None:
        self._llm, self._writer, self._config = llm, writer, config
        self.alone = ""

    def choose(self, view: View, spec: TaskSpec, asked: Asked, prompt: Prompt, evidence: float) -> Answer:
        """The likeliest candidate, or "not sure".

        Args:
            evidence: the highest logit with which a proposal shows what is asked about.
        """
        seen = _detect(view, spec, asked) if asked.label else ()
        found = [item for item in seen if item.score >= self._config.object_threshold]
        measured = asked.kind is Kind.COLOUR and bool(found)
        chances = {} if measured else self.rank(asked, prompt)
        self.alone = _likeliest(chances).text if chances else ""
        if asked.kind is Kind.PRESENCE:
            answer = self._presence(chances, evidence, bool(found), asked)
        elif asked.kind is Kind.COUNT:
            answer = self._count(chances, found, asked)
        elif asked.label and not found:
            return Answer(_NOT_SURE, 0.0, f"no {asked.label} is seen")
        elif asked.kind is Kind.SIDE:
            answer = _side(chances, found, view.frame.size_wh_px[0])
        elif measured:
            answer = _colour(found, view.frame.image_rgb_u8)
        else:
            answer = _likeliest(chances)
        if answer.text != _NOT_SURE and answer.score < self._config.answer_threshold:
            return Answer(_NOT_SURE, answer.score, f"the best guess is {answer.text!r}")
        return answer

    def rank(self, asked: Asked, prompt: Prompt) -> dict[str, float]:
        """How probable the language model finds each candidate; together 1."""
        candidates = CANDIDATES[asked.kind]
        before = self._llm.tokenizer(QUESTION.format(asked.text), add_special_tokens=False)["input_ids"]
        ids = [self._llm.tokenizer(f" {text}", add_special_tokens=False)["input_ids"] for text in candidates]
        device = prompt.embeds.device
        texts = torch.full((1, len(ids), 1 + max(map(len, ids))), self._writer.end, device=device)
        wanted = torch.full_like(texts, IGNORED)
        for row, answer in enumerate(ids):
            read, follows = [before[-1], *answer], [*answer, self._writer.end]
            texts[0, row, : len(read)] = torch.tensor(read, device=device)
            wanted[0, row, : len(follows)] = torch.tensor(follows, device=device)
        asked_ids = torch.tensor(before[:-1], device=device)
        shares = self._writer.rank(self._llm, prompt, asked_ids, texts, wanted).softmax(-1).tolist()
        return dict(zip(candidates, shares, strict=True))

    def _presence(self, chances: dict[str, float], evidence: float, found: bool, asked: Asked) -> Answer:
        """Yes or no by both; where they disagree, that is said."""
        config, own = self._config, _logit(chances["yes"])
        if not asked.label:
            return _likeliest(chances)
        logit = config.presence_writer * own + config.presence_detector * evidence + config.presence_bias
        chance = 1 / (1 + math.exp(-max(min(logit, 30.0), -30.0)))
        text = "yes" if chance >= 0.5 else "no"
        note = ""
        if (text == "yes") != found:
            note = "the detector finds one" if found else "the detector finds none"
        if (own > 0) != (text == "yes"):
            note = f"{note}; " * bool(note) + f"the language model alone would say {_likeliest(chances).text}"
        return Answer(text, max(chance, 1 - chance), note)

    def _count(self, chances: dict[str, float], found: Sequence[Detection], asked: Asked) -> Answer:
        """The number that both find likely."""
        own, count = _likeliest(chances).text, len(found)
        if asked.label:
            weight = self._config.count_detector
            together = {n: math.log(p + 1e-9) - weight * abs(int(n) - count) for n, p in chances.items()}
            highest = max(together.values())
            total = sum(math.exp(value - highest) for value in together.values())
            chances = {n: math.exp(value - highest) / total for n, value in together.items()}
        best = _likeliest(chances)
        noted = asked.label and str(count) != best.text
        note = f"the detector counts {count}, the language model alone {own}" if noted else ""
        return Answer(best.text, best.score, note)


def _side(chances: dict[str, float], found: Sequence[Detection], width_px: int) -> Answer:
    """Where the one object is; by the language model where there are several or it is in the middle."""
    own = _likeliest(chances)
    middles = [(item.box_xyxy_px[0] + item.box_xyxy_px[2]) / 2 / width_px - 0.5 for item in found]
    if len(middles) != 1 or abs(middles[0]) < _OFF_THE_MIDDLE:
        return own
    text = SIDES[int(middles[0] > 0)]
    note = "" if own.text == text else f"the language model alone would say {own.text}"
    return Answer(text, max(_SIDE_SURE * found[0].score, chances[text]), note)


def _colour(found: Sequence[Detection], image_rgb_u8: NDArray[np.uint8]) -> Answer:
    """The most frequent colour in the ellipse that fits the box of the surest; the score is its share of the pixels."""
    surest = max(found, key=lambda item: item.score)
    x_min, y_min, x_max, y_max = (max(round(side), 0) for side in surest.box_xyxy_px)
    patch = np.ascontiguousarray(image_rgb_u8[y_min : y_max + 1, x_min : x_max + 1])
    if min(patch.shape[:2]) < _SMALLEST_SIDE_PX:
        return Answer(_NOT_SURE, 0.0, f"the {surest.label} is too small to tell its colour")
    shares = colour_shares(name_pixels(patch), _ellipse(patch.shape[0], patch.shape[1]))
    best = int(shares.argmax())
    note = f"that of the surest of {len(found)}" if len(found) > 1 else ""
    return Answer(BASIC_COLOURS[best], float(shares[best]), note)


def _ellipse(height: int, width: int) -> NDArray[np.bool_]:
    """bool[height, width], True inside the largest ellipse."""
    rows = (2 * np.arange(height) + 1) / height - 1
    columns = (2 * np.arange(width) + 1) / width - 1
    return np.asarray(rows[:, None] ** 2 + columns[None] ** 2 <= 1)


def _detect(view: View, spec: TaskSpec, asked: Asked) -> tuple[Detection, ...]:
    return view.perceive(TaskSpec(Task.DETECT, (asked.label,), region=spec.region)).detections


def _likeliest(chances: dict[str, float]) -> Answer:
    text = max(chances, key=lambda each: chances[each])
    return Answer(text, chances[text])


def _logit(chance: float) -> float:
    chance = min(max(chance, 1e-6), 1 - 1e-6)
    return math.log(chance / (1 - chance))
