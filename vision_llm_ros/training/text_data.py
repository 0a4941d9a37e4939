"""Texts to learn writing from: human captions, and questions about the annotated objects with their answers."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from vision_llm_ros.config import ModelConfig
from vision_llm_ros.errors import InputError
from vision_llm_ros.interfaces import Task, TaskSpec
from vision_llm_ros.language.instructions import build
from vision_llm_ros.language.lexicon import plural
from vision_llm_ros.model.letterbox import Letterbox
from vision_llm_ros.model.text_decoder import IGNORED, QUERY, Seen
from vision_llm_ros.training.datasets import InstanceSet, Picture, load_captions, load_instances

logger = logging.getLogger(__name__)

CAPTIONS = 5
_LENGTHS, _LENGTH_SHARES, _OF_A_LENGTH = ("", "short", "long"), (0.7, 0.15, 0.15), 2
_MOST_COUNTED = 12
_COUNT_SHARE, _NONE_SHARE = 0.5, 0.15
_TRIES = 20
_PRESENCE = (
    "is there {a} {one}?",
    "is there {a} {one} in the picture?",
    "are there any {many}?",
    "can you see {a} {one}?",
)
_COUNT = ("how many {many} are there?", "how many {many} are in the picture?", "how many {many} can you see?")


@dataclass(frozen=True)
class Question:
    """A question about one picture, and its answer."""

    text: str
    answer: str


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


class QuestionMaker:
    """Asks whether something is there and how many, balanced between yes and no, from complete annotations."""

    def __init__(self, dataset: InstanceSet) -> None:
        self.names = dataset.categories
        self._counts: dict[int, Counter[int]] = {picture.image_id: Counter() for picture in dataset.pictures}
        self._crowds: dict[int, set[int]] = {picture.image_id: set() for picture in dataset.pictures}
        for item in dataset.instances:
            self._counts[item.image_id][item.category_id] += 1
            if item.crowd:
                self._crowds[item.image_id].add(item.category_id)
        shown = Counter(category for counts in self._counts.values() for category in counts)
        self._frequency = np.array([shown[category] + 1.0 for category in self.names]) ** 0.5

    def knows(self, image_id: int) -> bool:
        """True where at least one object of the picture is annotated."""
        return bool(self._counts.get(image_id))

    def ask(self, image_id: int, rng: np.random.Generator) -> Question:
        """One question about an annotated picture."""
        counts = self._counts[image_id]
        countable = [key for key in counts if key not in self._crowds[image_id] and counts[key] <= _MOST_COUNTED]
        if countable and rng.random() < _COUNT_SHARE:
            there = rng.random() >= _NONE_SHARE
            category = countable[int(rng.integers(len(countable)))] if there else self._absent(counts, rng)
            return self._question(_COUNT, category, str(counts[category]), rng)
        there = rng.random() < 0.5
        category = list(counts)[int(rng.integers(len(counts)))] if there else self._absent(counts, rng)
        return self._question(_PRESENCE, category, "yes" if counts[category] else "no", rng)

    def _absent(self, counts: Counter[int], rng: np.random.Generator) -> int:
        """A class that is not in the picture, common ones more often; one that is where there is no other."""
        weights = np.where([counts[key] > 0 for key in self.names], 0.0, self._frequency)
        if not weights.any():
            weights = self._frequency
        return int(rng.choice(list(self.names), p=weights / weights.sum()))

    def _question(self, forms: Sequence[str], category: int, answer: str, rng: np.random.Generator) -> Question:
        name = self.names[category]
        article = "an" if name[0] in "aeiou" else "a"
        form = forms[int(rng.integers(len(forms)))]
        return Question(form.format(a=article, one=name, many=plural(name)), answer)


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
    ) -> None:
        """Read the annotation files.

        Args:
            config: side and shape of the network's square.
            annotations: COCO instances to ask questions about; None asks none.
            tokenize: text to base-vocabulary ids.
            see: looks at uint8[1, 3, S, S].
            end: id that stands for the end of a text.
        Raises:
            InputError: a file is missing or damaged.
        """
        self._side, self._stretch = config.image_size_px, config.stretch
        self._tokenize, self._see, self.end = tokenize, see, end
        dataset = load_captions(captions, images)
        self.notes = dataset.notes
        self._described = list(dataset.pictures)
        self.captions = {key: [plain(text) for text in texts] for key, texts in dataset.captions.items()}
        instances = load_instances(annotations, images) if annotations else None
        self.questions = QuestionMaker(instances) if instances else None
        self._asked: list[Picture] = []
        if instances and self.questions:
            self._asked = [picture for picture in instances.pictures if self.questions.knows(picture.image_id)]
        self._seen: dict[int, Seen] = {}
        self._unreadable: set[Path] = set()

    def counts(self, vocabulary: int) -> Tensor:
        """How often each token is read in captions and answers, int[vocabulary + 1], the end last."""
        texts = [text for captions in self.captions.values() for text in captions]
        if self.questions:
            texts += [*(str(count) for count in range(_MOST_COUNTED + 1)), "yes", "no"] * (len(texts) // 20 + 1)
        ids = [token for text in texts for token in (*self._tokenize(f" {text}"), self.end)]
        return torch.bincount(torch.tensor(ids), minlength=vocabulary + 1)

    def draw(self, task: Task, size: int, questions: int, seed: tuple[int, ...]) -> TextBatch:
        """Draw `size` pictures with their captions, or with `questions` questions each."""
        rng = np.random.default_rng(seed)
        return self._asking(size, questions, rng) if task is Task.ANSWER else self._describing(size, rng)

    def _describing(self, size: int, rng: np.random.Generator) -> TextBatch:
        length = str(rng.choice(_LENGTHS, p=_LENGTH_SHARES))
        instruction = build(TaskSpec(Task.CAPTION, caption_length=length), int(rng.integers(1 << 30))).text
        chosen = [self._look(self._described, rng) for _ in range(size)]
        texts = [self._of_length(self.captions[picture.image_id], length, rng) for picture, _ in chosen]
        rows = [[self._reading([], text) for text in some] for some in texts]
        return self._batch(Task.CAPTION, [seen for _, seen in chosen], self._tokenize(instruction), rows)

    def _of_length(self, captions: list[str], length: str, rng: np.random.Generator) -> list[str]:
        """The wanted captions of a picture, always equally many."""
        if not length:
            return [
                captions[index % len(captions)] for index in rng.permutation(max(CAPTIONS, len(captions)))[:CAPTIONS]
            ]
        ranked = sorted(captions, key=lambda text: len(text.split()), reverse=length == "long")
        return [ranked[index % len(ranked)] for index in range(_OF_A_LENGTH)]

    def _asking(self, size: int, questions: int, rng: np.random.Generator) -> TextBatch:
        assert self.questions is not None
        chosen = [self._look(self._asked, rng) for _ in range(size)]
        rows = []
        for picture, _ in chosen:
            asked = [self.questions.ask(picture.image_id, rng) for _ in range(questions)]
            wordings = [int(rng.integers(1 << 30)) for _ in asked]
            specs = [TaskSpec(Task.ANSWER, phrase=question.text) for question in asked]
            told = [self._tokenize(build(spec, wording).text) for spec, wording in zip(specs, wordings, strict=True)]
            rows.append([self._reading(before, q.answer) for before, q in zip(told, asked, strict=True)])
        return self._batch(Task.ANSWER, [seen for _, seen in chosen], [], rows)

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
        whole = Seen(*(torch.cat([getattr(one, name) for one in seen]).float() for name in vars(seen[0])))
        return TextBatch(task, whole, torch.tensor(asked, dtype=torch.long), texts, wanted)

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
