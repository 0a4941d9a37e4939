"""Texts to learn writing from: human captions, and questions about the annotated objects."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import torch
from torch import Tensor

from vision_llm_ros.config import ModelConfig
from vision_llm_ros.errors import InputError
from vision_llm_ros.interfaces import Task, TaskSpec
from vision_llm_ros.language.instructions import build
from vision_llm_ros.model.letterbox import Letterbox
from vision_llm_ros.model.text_decoder import IGNORED, QUERY, Seen
from vision_llm_ros.training.datasets import Picture, load_captions, load_instances
from vision_llm_ros.training.question_data import Question, make_questions, measure_colours

logger = logging.getLogger(__name__)

CAPTIONS = 5
_LENGTHS, _LENGTH_SHARES, _OF_A_LENGTH = ("", "short", "long"), (0.8, 0.1, 0.1), 2
_KEPT = 3  # captions, and questions, of a picture whose states are kept
_TRIES = 20
_FEWEST = 2  # a token read less often is not learnt to be written
_A_KIND = 4  # most questions of each kind about a picture
_USUAL_SHARE = 0.5  # of batches that are worded as the running system words them
T = TypeVar("T")


@dataclass(frozen=True)
class TextBatch:
    """Pictures with several texts each; the arguments of `TextDecoder.forward`, and the task for the log."""

    task: Task
    seen: Seen
    asked: Tensor
    texts: Tensor
    wanted: Tensor


def plain(caption: str) -> str:
    """A caption as it is learnt: lower case, one line, no full stop."""
    return " ".join(caption.lower().split()).rstrip(" .")


class TextData:
    """Draws caption and question batches, each determined by its seed alone; pictures are looked at once."""

    def __init__(
        self,
        config: ModelConfig,
        captions: Path,
        images: Path,
        annotations: Path | None,
        tokenize: Callable[[str], list[int]],
        see: Callable[[Tensor], Seen],
        end: int,
        seed: int = 0,
    ) -> None:
        """Read the annotation files.

        Args:
            config: side and shape of the network's square.
            annotations: COCO instances to ask questions about; None asks none.
            tokenize: text to base-vocabulary ids.
            see: looks at uint8[1, 3, S, S].
            end: id that stands for the end of a text.
            seed: chooses the questions.
        Raises:
            InputError: a file is missing or damaged.
        """
        self._side, self._stretch = config.image_size_px, config.stretch
        self._tokenize, self._see, self.end = tokenize, see, end
        dataset = load_captions(captions, images)
        self.notes = dataset.notes
        self.described = list(dataset.pictures)
        self.captions = {key: [plain(text) for text in texts] for key, texts in dataset.captions.items()}
        instances = load_instances(annotations, images) if annotations else None
        self.questions: dict[int, list[Question]] = defaultdict(list)
        if instances:
            for question in make_questions(instances, measure_colours(instances), seed, _A_KIND):
                self.questions[question.image_id].append(question)
        self._asked = (
            [picture for picture in instances.pictures if picture.image_id in self.questions] if instances else []
        )
        self._seen: dict[int, Seen] = {}
        self._unreadable: set[Path] = set()

    def counts(self, vocabulary: int) -> Tensor:
        """How often each token is read in captions and answers, int[vocabulary + 1], the end last; 0 for rare ones."""
        texts = [text for captions in self.captions.values() for text in captions]
        texts += [question.answer for some in self.questions.values() for question in some]
        ids = [token for text in texts for token in (*self._tokenize(f" {text}"), self.end)]
        counts = torch.bincount(torch.tensor(ids), minlength=vocabulary + 1)
        return torch.where(counts < _FEWEST, 0, counts)

    def draw(self, task: Task, size: int, questions: int, seed: tuple[int, ...]) -> TextBatch:
        """Draw `size` pictures with their captions, or with `questions` questions each."""
        rng = np.random.default_rng(seed)
        return self._asking(size, questions, rng) if task is Task.ANSWER else self._describing(size, rng)

    def _describing(self, size: int, rng: np.random.Generator) -> TextBatch:
        length = str(rng.choice(_LENGTHS, p=_LENGTH_SHARES))
        instruction = build(TaskSpec(Task.CAPTION, caption_length=length), _wording(rng)).text
        chosen = [self._look(self.described, rng) for _ in range(size)]
        texts = [self._of_length(self.captions[picture.image_id], length, rng) for picture, _ in chosen]
        rows = [[self._reading([], text) for text in some] for some in texts]
        return self._batch(Task.CAPTION, [seen for _, seen in chosen], self._tokenize(instruction), rows)

    def captions_of(self, pictures: Sequence[Picture]) -> TextBatch:
        """Some captions of each picture, asked for as the running system does."""
        texts = [_spread(self.captions[picture.image_id]) for picture in pictures]
        rows = [[self._reading([], text) for text in some] for some in texts]
        seen = [self._remembered(picture) for picture in pictures]
        return self._batch(Task.CAPTION, seen, self._tokenize(build(TaskSpec(Task.CAPTION)).text), rows)

    def questions_of(self, pictures: Sequence[Picture]) -> TextBatch:
        """Some questions about each picture, worded as the running system does."""
        asked = [_spread(self.questions[picture.image_id]) for picture in pictures]
        return self._questions([self._remembered(picture) for picture in pictures], asked, None)

    def _of_length(self, captions: list[str], length: str, rng: np.random.Generator) -> list[str]:
        """The wanted captions of a picture, always equally many."""
        if not length:
            return [
                captions[index % len(captions)] for index in rng.permutation(max(CAPTIONS, len(captions)))[:CAPTIONS]
            ]
        ranked = sorted(captions, key=lambda text: len(text.split()), reverse=length == "long")
        return [ranked[index % len(ranked)] for index in range(_OF_A_LENGTH)]

    def _asking(self, size: int, questions: int, rng: np.random.Generator) -> TextBatch:
        chosen = [self._look(self._asked, rng) for _ in range(size)]
        wording = _wording(rng)
        pools = [self.questions[picture.image_id] for picture, _ in chosen]
        asked = [[pool[int(place)] for place in rng.integers(len(pool), size=questions)] for pool in pools]
        return self._questions([seen for _, seen in chosen], asked, wording)

    def _questions(self, seen: list[Seen], asked: list[list[Question]], wording: int | None) -> TextBatch:
        told = [
            [self._tokenize(build(TaskSpec(Task.ANSWER, phrase=one.text), wording).text) for one in some]
            for some in asked
        ]
        shared = _common_start([text for texts in told for text in texts])
        rows = [
            [self._reading(before[len(shared) :], one.answer) for before, one in zip(texts, some, strict=True)]
            for texts, some in zip(told, asked, strict=True)
        ]
        return self._batch(Task.ANSWER, seen, shared, rows)

    def _reading(self, before: list[int], text: str) -> tuple[list[int], list[int]]:
        """What is read and what is wanted behind each token of it."""
        ids = self._tokenize(f" {text}")
        return [*before, QUERY, *ids], [*[IGNORED] * len(before), *ids, self.end]

    def _batch(
        self, task: Task, seen: list[Seen], asked: list[int], rows: list[list[tuple[list[int], list[int]]]]
    ) -> TextBatch:
        longest = max(len(read) for texts in rows for read, _ in texts)
        texts = torch.zeros(len(rows), len(rows[0]), longest, dtype=torch.long)
        wanted = torch.full_like(texts, IGNORED)
        for place, some in enumerate(rows):
            for index, (read, follows) in enumerate(some):
                texts[place, index, : len(read)] = torch.tensor(read)
                wanted[place, index, : len(follows)] = torch.tensor(follows)
        return TextBatch(task, Seen.joined(seen), torch.tensor(asked, dtype=torch.long), texts, wanted)

    def _look(self, among: list[Picture], rng: np.random.Generator) -> tuple[Picture, Seen]:
        """A picture drawn from `among`; where one cannot be read another takes its place."""
        for _ in range(_TRIES):
            picture = among[int(rng.integers(len(among)))]
            try:
                return picture, self._remembered(picture)
            except InputError as error:
                if picture.path not in self._unreadable:
                    self._unreadable.add(picture.path)
                    logger.warning("%s; another picture takes its place", error)
        raise InputError(f"{_TRIES} pictures in a row cannot be read, the last {picture.path}")

    def _remembered(self, picture: Picture) -> Seen:
        if picture.image_id not in self._seen:
            pixels = cv2.imread(str(picture.path))
            if pixels is None:
                raise InputError(f"Cannot decode {picture.path}")
            square = Letterbox((pixels.shape[1], pixels.shape[0]), self._side, self._stretch).apply(pixels[:, :, ::-1])
            seen = self._see(torch.from_numpy(np.ascontiguousarray(square)).permute(2, 0, 1).unsqueeze(0))
            self._seen[picture.image_id] = Seen(*(value.half().cpu() for value in vars(seen).values()))
        return self._seen[picture.image_id]


def _spread(items: Sequence[T]) -> list[T]:
    """Always equally many of the items, evenly spread; some twice where there are few."""
    return [items[index * len(items) // _KEPT] for index in range(_KEPT)]


def _common_start(texts: Sequence[list[int]]) -> list[int]:
    """Tokens that all texts begin with."""
    same = [len(set(column)) == 1 for column in zip(*texts, strict=False)]
    return texts[0][: (*same, False).index(False)]


def _wording(rng: np.random.Generator) -> int | None:
    """Seed of an instruction's wording; None is the one that serving uses."""
    return None if rng.random() < _USUAL_SHARE else int(rng.integers(1 << 30))
