"""Referring questions by rule from any instance-mask data set, in the manner of PixelLM's MUSE (section 4).

A question names one to four phrases; its answer names them again, with "{seg}" for every object that is meant:

    "Segment the left mug and every spoon."    "The left mug is {seg} and every spoon is {seg} and {seg}."

MUSE's questions were written by GPT-4V from class names and boxes; `rephrase` lets a language model do the same here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from vision_llm_ros.config import check_ranges, setting
from vision_llm_ros.errors import InputError
from vision_llm_ros.language.lexicon import plural
from vision_llm_ros.language.phrases import MAX_TARGETS, read_phrase
from vision_llm_ros.training.datasets import Instance, InstanceSet, Notes, Picture
from vision_llm_ros.training.scenes import Scene
from vision_llm_ros.training.sentences import KINDS, Meaning, by_geometry, of_class, of_kind
from vision_llm_ros.training.uses import HELD_OUT, LEARNT

SEG = "{seg}"
_TRIES = 5  # draws for each phrase wanted; a picture with few objects gives fewer questions
_RULES, _SHARES = ("class", "geometry", "group", "absent"), (0.4, 0.4, 0.08, 0.12)
_PHRASES = (0.45, 0.3, 0.15, 0.1)
_QUESTIONS = (
    "Segment {}.",
    "Please segment {} in this picture.",
    "Where exactly can you see {}?",
    "Show me {}.",
    "Can you mark {}?",
    "I need masks of {}.",
    "Which pixels belong to {}?",
)


@dataclass(frozen=True)
class MakeReferConfig:
    """How many questions, and about what."""

    per_picture: int = setting(6, "most questions about a picture", low=1, high=100)
    most_phrases: int = setting(4, "most phrases of a question", low=1, high=4)
    least_side_px: float = setting(8.0, "objects of a shorter side are not asked about, pixels", low=1.0)
    uses: str = setting(
        "none",
        "ask only by use or kind, such as 'something to drink from': phrases that training sees, or those it does not",
        choices=("none", "learnt", "held-out"),
    )
    seed: int = setting(0, "of everything random", low=0)

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True)
class Question:
    """One question about a picture, in words and as the objects it means.

    Attributes:
        image_id: of the picture.
        sentence: what is referred to, as in files of referring expressions.
        question, text_answer: what a person asks and hears; "{seg}" stands for the mask of each target in turn.
        phrases: each with the annotation ids it means, none for what is absent.
        kind: the rule of the only phrase, else "multi".
        rule_sentence: the sentence before a language model has rephrased it; "" if none has.
    """

    image_id: int
    sentence: str
    question: str
    text_answer: str
    phrases: tuple[tuple[str, tuple[int, ...]], ...]
    kind: str
    rule_sentence: str = ""

    @property
    def annotation_ids(self) -> tuple[int, ...]:
        """Every target, in the order of the answer."""
        return tuple(target for _, targets in self.phrases for target in targets)

    def values(self, number: int) -> dict[str, Any]:
        """As one record of a file of referring expressions."""
        record = {
            "id": number,
            "image_id": self.image_id,
            "sentence": self.sentence,
            "annotation_ids": list(self.annotation_ids),
            "kind": self.kind,
            "question": self.question,
            "text_answer": self.text_answer,
            "phrases": [{"text": text, "annotation_ids": list(targets)} for text, targets in self.phrases],
        }
        return record | ({"rule_sentence": self.rule_sentence} if self.rule_sentence else {})


def make_questions(
    dataset: InstanceSet, pictures: Sequence[Picture], config: MakeReferConfig, notes: Notes
) -> Iterator[list[Question]]:
    """The questions of one picture after another, each picture's by its own seed; unreadable pictures are noted."""
    names = {key: class_name(name) for key, name in dataset.categories.items()}
    objects: dict[int, list[Instance]] = {}
    for item in dataset.instances:
        objects.setdefault(item.image_id, []).append(item)
    for picture in pictures:
        try:
            scene = _scene(picture, objects.get(picture.image_id, []), names)
        except InputError as error:
            notes.add(f"left out: {error}")
            yield []
            continue
        rng = np.random.default_rng((config.seed, picture.image_id))
        asked = [_question(picture, scene, names, config, rng) for _ in range(config.per_picture)]
        yield list({question.sentence: question for question in asked if question is not None}.values())


def class_name(name: str) -> str:
    """A category as a word: "wine_glass" and "Wine-Glass" become "wine glass", "car_(automobile)" "car"."""
    return " ".join(re.sub(r"\(.*?\)|[_\-]", " ", name).lower().split())


def _scene(picture: Picture, items: list[Instance], names: dict[int, str]) -> Scene:
    """The objects without their masks: the rules speak of classes and boxes only.

    Raises:
        InputError: the annotations do not state the picture's size and it cannot be decoded.
    """
    height, width = picture.height, picture.width
    if height <= 0 or width <= 0:
        pixels = cv2.imread(str(picture.path))
        if pixels is None:
            raise InputError(f"the annotations state no size of {picture.path}, and it cannot be decoded")
        height, width = pixels.shape[:2]
    return Scene(
        np.broadcast_to(np.uint8(0), (height, width, 3)),
        np.array([item.box_xyxy_px for item in items], np.float32).reshape(-1, 4),
        tuple(names[item.category_id] for item in items),
        np.array([item.crowd for item in items], bool),
        tuple(None for _ in items),
        tuple(item.annotation_id if item.segmentation else -1 for item in items),
    )


def _question(
    picture: Picture, scene: Scene, names: dict[int, str], config: MakeReferConfig, rng: np.random.Generator
) -> Question | None:
    """Some phrases that mean different objects; None where nothing clear was found."""
    wanted = min(1 + int(rng.choice(len(_PHRASES), p=_PHRASES)), config.most_phrases)
    found: list[Meaning] = []
    taken = np.zeros(len(scene.names), bool)
    for _ in range(_TRIES * wanted):
        meaning = _by_use(scene, config.uses, rng) if config.uses != "none" else _meaning(scene, names, rng)
        if meaning is None or not _is_clear(meaning, scene, config) or (meaning.meant & taken).any():
            continue
        if any(
            meaning.kind == other.kind and (_names_same(meaning, other) or not meaning.meant.any()) for other in found
        ):
            continue
        found.append(meaning)
        taken |= meaning.meant
        if len(found) == wanted:
            break
    if not found or taken.sum() > MAX_TARGETS:
        return None
    # "the cup left of the plate and the fork" would put the cup left of both
    found = [replace(meaning, text=_with_article(meaning.text)) for meaning in found]
    found.sort(key=lambda meaning: meaning.kind == "relation")
    return _worded(picture, scene, found, rng)


def _by_use(scene: Scene, uses: str, rng: np.random.Generator) -> Meaning:
    found = of_kind(scene, rng, [((phrase,), names) for phrase, names in (LEARNT if uses == "learnt" else HELD_OUT)])
    return found if found.meant.any() else replace(found, kind="absent")


def _meaning(scene: Scene, names: dict[int, str], rng: np.random.Generator) -> Meaning | None:
    rule = rng.choice(_RULES, p=_SHARES)
    if rule == "absent":
        alike = set(scene.names).union(*(kind[1] for kind in KINDS if not set(kind[1]).isdisjoint(scene.names)))
        absent = sorted(set(names.values()) - alike)
        return of_class(scene, str(rng.choice(absent)), rng) if absent else None
    if not scene.names:
        return None
    if rule == "geometry":
        return by_geometry(scene, rng)
    if rule == "group":
        return of_kind(scene, rng)
    return of_class(scene, str(rng.choice(sorted(set(scene.names)))), rng)


def _is_clear(meaning: Meaning, scene: Scene, config: MakeReferConfig) -> bool:
    """Every object that is meant has an outline, is no crowd and large enough to be seen."""
    sides = (scene.boxes_xyxy_px[:, 2:] - scene.boxes_xyxy_px[:, :2]).min(1, initial=np.inf)
    good = ~scene.crowd & (np.array(scene.ids, int) >= 0) & (sides >= config.least_side_px)
    return bool(good[meaning.meant].all()) and (bool(meaning.meant.any()) or meaning.kind == "absent")


def _subject(meaning: Meaning) -> str:
    return read_phrase(meaning.text).subject or meaning.text


def _names_same(meaning: Meaning, other: Meaning) -> bool:
    return _subject(meaning) == _subject(other)


def _with_article(text: str) -> str:
    """ "the dog" for the bare "dog"; "dogs" and "every dog" stay."""
    return f"the {text}" if read_phrase(text).subject == text else text


def _worded(picture: Picture, scene: Scene, found: list[Meaning], rng: np.random.Generator) -> Question:
    phrases = tuple(
        (meaning.text, tuple(scene.ids[index] for index in np.flatnonzero(meaning.meant))) for meaning in found
    )
    sentence = _listed([text for text, _ in phrases])
    answer = _listed([_told(meaning) for meaning in found])
    kind = found[0].kind if len(found) == 1 else "multi"
    question = str(rng.choice(_QUESTIONS)).format(sentence)
    return Question(picture.image_id, sentence, question, f"{answer[0].upper()}{answer[1:]}.", phrases, kind)


def _told(meaning: Meaning) -> str:
    """ "the mug is {seg}", "the spoons are {seg} and {seg}", "there is no fork"."""
    count = int(meaning.meant.sum())
    if not count:
        return f"there is no {_subject(meaning)}"
    words = meaning.text.split()
    several = words[0] not in ("every", "each", "everything") and plural(_subject(meaning)) in meaning.text
    return f"{meaning.text} {'are' if several or words[0] == 'all' else 'is'} {_listed([SEG] * count)}"


def _listed(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def rephrased(question: Question, sentence: str, asked: str, answer: str) -> Question:
    """The same question in other words.

    Raises:
        InputError: the words do not fit its targets: an empty or overlong text, another number of "{seg}" than of
            targets, "{seg}" outside of the answer, or left and right confused.
    """
    told = [" ".join(text.split()) for text in (sentence, asked, answer)]
    if not all(0 < len(text) <= limit for text, limit in zip(told, (300, 500, 2000), strict=True)):
        raise InputError(f"Expected a sentence, a question and an answer of bearable length, got {told}")
    segs = [text.count(SEG) for text in told]
    if segs != [0, 0, len(question.annotation_ids)]:
        raise InputError(f"Expected {len(question.annotation_ids)} {SEG} in the answer alone, got {segs} in {told}")
    sides = [set(re.findall(r"\b(?:left|right)", text.lower())) for text in (question.sentence, told[0])]
    if sides[0] != sides[1]:
        raise InputError(f"Expected {question.sentence!r} in other words, got {told[0]!r}")
    earlier = question.rule_sentence or question.sentence
    return replace(question, sentence=told[0], question=told[1], text_answer=told[2], rule_sentence=earlier)
