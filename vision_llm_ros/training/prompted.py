"""Stage 2 of the Q-Former and its instruction tuning: what makes the frozen language model tell captions and answers.

The layers of the Q-Former stay as stage 1 left them, since the same network matches pictures and sentences; what
learns is a second set of queries for the soft prompt and the projection to the language model.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vision_llm_ros.config import PromptConfig
from vision_llm_ros.errors import InputError
from vision_llm_ros.interfaces import Task
from vision_llm_ros.language.questions import CANDIDATES, Kind
from vision_llm_ros.model.blip import Blip
from vision_llm_ros.model.llm import LanguageModel
from vision_llm_ros.model.prompt_writer import IGNORED, PROMPTS, QUESTION, PromptWriter
from vision_llm_ros.model.qformer import Tokens, tokenize
from vision_llm_ros.model.qformer_image import Seen
from vision_llm_ros.training.align_data import AlignData, mirrored_some
from vision_llm_ros.training.loop import Loop
from vision_llm_ros.training.question_data import Question

_SIDED = re.compile(r"\b(?:left|right)\b")
_LENGTHS, _LENGTH_SHARES = ("", "short", "long"), (0.7, 0.15, 0.15)


@dataclass(frozen=True)
class PromptBatch:
    """Pictures with what is read and wanted; the arguments of `PromptWriter.forward`.

    Attributes:
        instruction: what the queries read.
        answers: what is wanted of questions, in words; none of captions.
    """

    task: Task
    seen: Seen
    instruction: Tokens
    asked: Tensor
    texts: Tensor
    wanted: Tensor
    answers: tuple[str, ...] = ()


class PromptData:
    """Draws captions and questions, each batch determined by its seed alone."""

    def __init__(
        self, data: AlignData, writer: PromptWriter, llm: LanguageModel, questions: list[Question], captions: int
    ) -> None:
        """List the tokens of captions and answers as those that may be written.

        Args:
            questions: about pictures whose features are known; others are left out.
            captions: of one picture, told side by side.
        """
        self.data, self._writer, self._llm, self._captions = data, writer, llm, captions
        learnt = set(data.image_ids)
        self.questions = [q for q in questions if q.image_id in learnt]
        texts = [*data.sentences, *(answer for answers in CANDIDATES.values() for answer in answers)]
        writer.list_tokens(torch.tensor(sorted({token for text in texts for token in self._ids(text)})))

    def _ids(self, text: str) -> list[int]:
        return list(self._llm.tokenizer(f" {text}", add_special_tokens=False)["input_ids"])

    def describe(self, size: int, seed: tuple[int, ...]) -> PromptBatch:
        """Pictures with several captions each, of the length that the instruction names."""
        rng = np.random.default_rng(seed)
        length = str(rng.choice(_LENGTHS, p=_LENGTH_SHARES))
        ids = [self.data.image_ids[i] for i in rng.choice(len(self.data.image_ids), size)]
        texts = [self._of_length(self.data.captions[i], length, rng) for i in ids]
        first = self._llm.tokenizer(PROMPTS[length], add_special_tokens=False)["input_ids"]
        rows = [[self._reading(first[-1:], text) for text in some] for some in texts]
        flips = [not _SIDED.search(" ".join(some)) and bool(rng.random() < 0.5) for some in texts]
        asked = torch.tensor(first[:-1], dtype=torch.long)
        return self._batch(Task.CAPTION, ids, flips, [PROMPTS[length]] * size, asked, rows)

    def ask(
        self, size: int, seed: tuple[int, ...], invented: bool = False, kinds: Sequence[str] = tuple(CANDIDATES)
    ) -> PromptBatch:
        """Questions about as many pictures; every kind equally often.

        Args:
            kinds: those to choose from.
            invented: the answers are drawn from all that the question allows.
        Raises:
            InputError: there are none to ask.
        """
        rng = np.random.default_rng(seed)
        there = sorted({question.kind for question in self.questions} & set(kinds))
        if not there:
            raise InputError("No question can be asked: the annotations speak of none of the captioned pictures")
        chosen = []
        for kind in rng.choice(there, size):
            some = [question for question in self.questions if question.kind == kind]
            chosen.append(some[int(rng.integers(len(some)))])
        if invented:
            chosen = [replace(q, answer=str(rng.choice(CANDIDATES[Kind(q.kind)]))) for q in chosen]
        read = [self._llm.tokenizer(QUESTION.format(q.text), add_special_tokens=False)["input_ids"] for q in chosen]
        rows = [[self._reading(before, q.answer)] for before, q in zip(read, chosen, strict=True)]
        flips = [question.kind != "side" and bool(rng.random() < 0.5) for question in chosen]
        ids, texts = [question.image_id for question in chosen], [question.text for question in chosen]
        batch = self._batch(Task.ANSWER, ids, flips, texts, torch.zeros(0, dtype=torch.long), rows)
        return replace(batch, answers=tuple(question.answer for question in chosen))

    def _of_length(self, captions: tuple[str, ...], length: str, rng: np.random.Generator) -> list[str]:
        """Always equally many; a wanted length takes them from that end."""
        if length:
            ranked = sorted(captions, key=len, reverse=length == "long")[: max(1, len(captions) // 2)]
        else:
            ranked = [captions[i] for i in rng.permutation(len(captions))]
        return [ranked[place % len(ranked)] for place in range(self._captions)]

    def _reading(self, before: list[int], text: str) -> tuple[list[int], list[int]]:
        """What is read, and what is wanted behind each token of it."""
        ids = self._ids(text)
        return [*before, *ids], [*[IGNORED] * (len(before) - 1), *ids, self._writer.end]

    def _batch(
        self,
        task: Task,
        ids: list[int],
        flips: list[bool],
        instructions: list[str],
        asked: Tensor,
        rows: list[list[tuple[list[int], list[int]]]],
    ) -> PromptBatch:
        longest = max(len(read) for some in rows for read, _ in some)
        texts = torch.full((len(rows), len(rows[0]), longest), self._writer.end)
        wanted = torch.full_like(texts, IGNORED)
        for place, some in enumerate(rows):
            for index, (read, follows) in enumerate(some):
                texts[place, index, : len(read)] = torch.tensor(read)
                wanted[place, index, : len(follows)] = torch.tensor(follows)
        features = self.data.features
        seen = mirrored_some(features.seen([features.rows[i] for i in ids]), torch.tensor(flips))
        return PromptBatch(task, seen, tokenize(self.data.encoder, instructions), asked, texts, wanted)


class PromptTrainer(Loop[PromptBatch]):
    """The loop over captions, and questions where they have a share."""

    parts = ("words",)
    config: PromptConfig

    def __init__(
        self,
        stage: str,
        blip: Blip,
        writer: PromptWriter,
        llm: LanguageModel,
        data: PromptData,
        config: PromptConfig,
        folder: Path,
        device: torch.device,
    ) -> None:
        self.blip, self.writer, self.llm, self.data = blip, writer, llm, data
        blip.requires_grad_(False)
        learning = list(blip.teller.requires_grad_(True).parameters())
        groups = [{"params": learning, "lr": config.learning_rate}]
        super().__init__({"system": stage}, config, groups, folder, device)

    def learned(self) -> dict[str, Tensor]:
        return self.blip.state_dict() | {f"speaker.{key}": value for key, value in self.writer.state_dict().items()}

    def prepare(self) -> None:
        self.blip.eval()
        self.llm.base.eval()

    def describe(self, batch: PromptBatch) -> str:
        return str(batch.task)

    def draw(self, seed: tuple[int, ...], step: int) -> list[PromptBatch]:
        config = self.config
        asking = np.random.default_rng((*seed, 1)).random() < config.answer_share
        return [self.data.ask(config.questions, seed) if asking else self.data.describe(config.batch_size, seed)]

    def loss(self, batch: PromptBatch) -> tuple[Tensor, dict[str, float]]:
        prompt = self.blip.prompt(self.writer, batch.seen, batch.instruction)
        loss = self.writer(self.llm, prompt, batch.asked, batch.texts, batch.wanted)
        return loss, {"words": float(loss.detach())}
