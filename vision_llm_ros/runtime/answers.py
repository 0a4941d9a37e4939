"""Answers from closed sets: the language model ranks the candidates, the detector on the same frame is heard too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from vision_llm_ros.config import QFormerConfig
from vision_llm_ros.interfaces import Detection, Task, TaskSpec
from vision_llm_ros.language.questions import CANDIDATES, SIDES, Asked, Kind
from vision_llm_ros.model.llm import LanguageModel
from vision_llm_ros.model.prompt_writer import IGNORED, QUESTION, Prompt, PromptWriter
from vision_llm_ros.runtime.routes import View

_OFF_THE_MIDDLE = 0.1
_SIDE_SURE = 0.85


@dataclass(frozen=True)
class Answer:
    """An answer, how sure it is (0..1), and a remark: disagreement with the detector, or why it is not sure."""

    text: str
    score: float
    note: str = ""


class Answerer:
    """Chooses among the candidates of a kind of question."""

    def __init__(self, llm: LanguageModel, writer: PromptWriter, config: QFormerConfig) -> None:
        self._llm, self._writer, self._config = llm, writer, config

    def choose(self, view: View, spec: TaskSpec, asked: Asked, prompt: Prompt, evidence: float) -> Answer:
        """The likeliest candidate, or "not sure".

        Args:
            evidence: the highest logit with which a proposal shows what is asked about.
        """
        chances = self.rank(asked, prompt)
        seen = _detect(view, spec, asked) if asked.label else ()
        found = [item for item in seen if item.score >= self._config.object_threshold]
        if asked.kind is Kind.PRESENCE:
            answer = self._presence(chances, evidence, bool(found), asked)
        elif asked.kind is Kind.COUNT:
            answer = self._count(chances, found, asked)
        elif asked.label and not found:
            return Answer("not sure", 0.0, f"no {asked.label} is seen")
        elif asked.kind is Kind.SIDE:
            answer = _side(chances, found, view.frame.size_wh_px[0])
        else:
            answer = _likeliest(chances)
        if answer.score < self._config.answer_threshold:
            return Answer("not sure", answer.score, f"the best guess is {answer.text!r}")
        return answer

    def rank(self, asked: Asked, prompt: Prompt) -> dict[str, float]:
        """How probable the language model finds each candidate; together 1."""
        candidates = CANDIDATES[asked.kind]
        before = self._llm.tokenizer(QUESTION.format(asked.text), add_special_tokens=False)["input_ids"]
        ids = [self._llm.tokenizer(f" {text}", add_special_tokens=False)["input_ids"] for text in candidates]
        longest = len(before) + max(map(len, ids))
        device = prompt.embeds.device
        texts = torch.full((1, len(ids), longest), self._writer.end, device=device)
        wanted = torch.full_like(texts, IGNORED)
        for row, answer in enumerate(ids):
            read = [*before, *answer]
            texts[0, row, : len(read)] = torch.tensor(read, device=device)
            follows = [*answer, self._writer.end]
            start = len(before) - 1
            wanted[0, row, start : start + len(follows)] = torch.tensor(follows, device=device)
        shares = self._writer.rank(self._llm, prompt, texts, wanted).softmax(-1).tolist()
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


def _detect(view: View, spec: TaskSpec, asked: Asked) -> tuple[Detection, ...]:
    return view.perceive(TaskSpec(Task.DETECT, (asked.label,), region=spec.region)).detections


def _likeliest(chances: dict[str, float]) -> Answer:
    text = max(chances, key=lambda each: chances[each])
    return Answer(text, chances[text])


def _logit(chance: float) -> float:
    chance = min(max(chance, 1e-6), 1 - 1e-6)
    return math.log(chance / (1 - chance))
