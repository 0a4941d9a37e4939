"""Is what is marked called by its name: by captions and answers about the cut-out, with and without its token."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vision_llm_ros.errors import UnsupportedTaskError
from vision_llm_ros.evaluation.trial import Trial
from vision_llm_ros.interfaces import Box, Perception, Prompt, PromptKind, Task, TaskSpec
from vision_llm_ros.language.lexicon import singular
from vision_llm_ros.model.evidence import phrases
from vision_llm_ros.runtime.engine import TorchEngine
from vision_llm_ros.runtime.naming_route import NamingRoute
from vision_llm_ros.runtime.regions import marked
from vision_llm_ros.training.datasets import Instance, InstanceSet, Picture

QUESTION = "what is this?"
SPECS = (TaskSpec(Task.CAPTION), TaskSpec(Task.ANSWER, phrase=QUESTION))
LEAST_SIDE = 0.04  # of the picture: what is smaller nobody marks
# what captions call persons; none of these is the name of another class
_PEOPLE = frozenset(
    "man woman boy girl baby child kid toddler lady gentleman adult teenager player batter pitcher catcher skier "
    "surfer snowboarder skateboarder rider worker pedestrian cyclist driver".split()
)


@dataclass(frozen=True)
class Told:
    """What was said about one mark: by task, without and with the region token; right is what names its class."""

    mark: str
    plain: dict[Task, bool]
    named: dict[Task, bool]
    said: bool
    plain_text: str
    named_text: str
    label: str


def region(trial: Trial, dataset: InstanceSet, pictures: Sequence[Picture]) -> dict[str, Any]:
    """Mark an object of each picture by its box, and one by a point, and ask for a caption and "what is this?".

    Returns:
        marks: by kind of mark the shares of captions and of answers that name the class, without (plain) and with the
        region token (named); said: the share of marks whose name is likely enough to be said; said_right: of those.
        regions, examples.
    Raises:
        UnsupportedTaskError: the model has no region token.
    """
    naming = _naming(trial)
    objects: dict[int, list[Instance]] = defaultdict(list)
    for item in dataset.instances:
        if not item.crowd:
            objects[item.image_id].append(item)
    rng = np.random.default_rng(trial.seed)
    told: list[Told] = []
    for picture, image in trial.read([p for p in pictures if p.image_id in objects], "region"):
        height, width = image.shape[:2]
        seen = [i for i in objects[picture.image_id] if min(_sides(i.box_xyxy_px, (width, height))) >= LEAST_SIDE]
        for mark in ("box", "point") if seen else ():
            item = seen[int(rng.integers(len(seen)))]
            where = _fractions(item.box_xyxy_px, (width, height))
            specs = [marked(spec, where if mark == "box" else _point(where, rng)) for spec in SPECS]
            with naming.nameless():
                plain = trial.ask(str(picture.path), image, specs)
            named = trial.ask(str(picture.path), image, specs)
            told.append(_told(mark, dataset.categories[item.category_id], plain, named))
    trial.finish()
    return {
        "marks": {mark: _shares([one for one in told if one.mark == mark]) for mark in sorted({t.mark for t in told})},
        "regions": len(told),
        "examples": [{"right": t.label, "cut-out": t.plain_text, "region token": t.named_text} for t in told[:8]],
    }


def names_class(text: str, label: str) -> bool:
    """Whether a text speaks of a class by its name or a synonym."""
    words = re.findall(r"[a-z]+", text.lower())
    return label in phrases(words) or (label == "person" and any(singular(word) in _PEOPLE for word in words))


def _naming(trial: Trial) -> NamingRoute:
    route = trial.engine.route(Task.CAPTION) if isinstance(trial.engine, TorchEngine) else None
    if not isinstance(route, NamingRoute) or Task.ANSWER not in route.tasks:
        raise UnsupportedTaskError("The model has no region token; its weights lie in WEIGHTS/region")
    return route


def _told(mark: str, label: str, plain: Sequence[Perception], named: Sequence[Perception]) -> Told:
    texts = [[item.caption.text if item.caption else "" for item in part] for part in (plain, named)]
    right = [dict(zip((s.task for s in SPECS), (names_class(t, label) for t in part), strict=True)) for part in texts]
    said = "named by its region" in named[1].text
    return Told(mark, right[0], right[1], said, texts[0][1], texts[1][1], label)


def _shares(told: Sequence[Told]) -> dict[str, Any]:
    said = [one.named[Task.ANSWER] for one in told if one.said]
    return {
        **{
            str(task): {
                "plain": float(np.mean([one.plain[task] for one in told])),
                "named": float(np.mean([one.named[task] for one in told])),
            }
            for task in (Task.CAPTION, Task.ANSWER)
        },
        "said": len(said) / len(told),
        "said_right": float(np.mean(said)) if said else None,
        "regions": len(told),
    }


def _sides(box: Box, size_wh_px: tuple[int, int]) -> tuple[float, float]:
    return (box[2] - box[0]) / size_wh_px[0], (box[3] - box[1]) / size_wh_px[1]


def _fractions(box: Box, size_wh_px: tuple[int, int]) -> Box:
    edges = np.array(box) / np.tile(size_wh_px, 2)
    x_min, y_min, x_max, y_max = map(float, edges.clip(0, 1))
    return x_min, y_min, x_max, y_max


def _point(box: Box, rng: np.random.Generator) -> Prompt:
    """A click in the middle half of a box."""
    low, high = np.array(box[:2]), np.array(box[2:])
    x, y = map(float, low + rng.uniform(0.25, 0.75, 2) * (high - low))
    return Prompt(PromptKind.POINT, ((x, y),))
