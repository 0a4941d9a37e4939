"""Questions with answers derived from annotated objects: presence, count, side, colour.

Each is put in one of several forms, so that no wording is learnt (InstructBLIP, appendix: ten and more a task).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.language.lexicon import plural
from vision_llm_ros.language.questions import NUMBERS, SIDES
from vision_llm_ros.model.colours import main_colour
from vision_llm_ros.training.datasets import Instance, InstanceSet, Picture

FORMS = {
    "presence": (
        *("is there {a} {one} in the picture?", "is there {a} {one}?", "is there {a} {one} here?"),
        *("can you see {a} {one}?", "do you see {a} {one} in the image?", "could you see {a} {one} in this scene?"),
        *("does the picture show {a} {one}?", "does this scene contain {a} {one}?", "does the image have {a} {one}?"),
        "is there any {one} in the photo?",
    ),
    "count": (
        *("how many {many} are there?", "how many {many} are in the picture?", "how many {many} are visible?"),
        *("how many {many} can you see?", "how many {many} do you see?", "how many {many} do you see in the image?"),
        *("how many {many} are there in this scene?", "how many {many} are here?", "how many {many} in the photo?"),
        "how many {many}?",
    ),
    "side": (
        *("is the {one} on the left or on the right?", "is the {one} to the left or to the right?"),
        *("is the {one} on the left or right?", "is the {one} on the left or the right side?"),
        "is the {one} on the left or on the right in the picture?",
    ),
    "colour": (
        *("what color is the {one}?", "what colour is the {one}?", "which color is the {one}?"),
        *("what color is this {one}?", "what color is the {one} in the picture?"),
    ),
}
_FAR_FROM_MIDDLE = 0.15


@dataclass(frozen=True)
class Question:
    """A question about one picture, its answer, its kind and the class it is about."""

    image_id: int
    text: str
    answer: str
    kind: str
    label: str


def make_questions(dataset: InstanceSet, colours: dict[int, str], seed: int, a_kind: int = 2) -> list[Question]:
    """At most `a_kind` questions of each kind about every annotated picture; as many `yes` as `no`, in pairs.

    Args:
        colours: by annotation id, see `measure_colours`.
    """
    rng = np.random.default_rng(seed)
    by_picture: dict[int, list[Instance]] = {picture.image_id: [] for picture in dataset.pictures}
    for item in dataset.instances:
        by_picture[item.image_id].append(item)
    shown = Counter(name for items in by_picture.values() for name in {i.category_id for i in items})
    frequency = np.array([shown[key] for key in dataset.categories], float) ** 0.5
    widths = {picture.image_id: picture.width for picture in dataset.pictures}
    found: list[Question] = []
    for image_id, items in by_picture.items():
        if items:
            maker = _Maker(image_id, items, dataset.categories, rng)
            found += [*maker.presence(a_kind, frequency), *maker.counts(a_kind)]
            found += [*maker.sides(a_kind, widths[image_id]), *maker.colours(a_kind, colours)]
    return found


class _Maker:
    """Questions about one picture."""

    def __init__(
        self, image_id: int, items: Sequence[Instance], names: dict[int, str], rng: np.random.Generator
    ) -> None:
        self._image_id, self._items, self._names, self._rng = image_id, items, names, rng
        self._count = Counter(item.category_id for item in items)
        self._crowded = {item.category_id for item in items if item.crowd}

    def presence(self, count: int, frequency: NDArray[np.float64]) -> list[Question]:
        """As many about what is there as about what is not, common classes more often."""
        there, absent = list(self._count), np.array([key not in self._count for key in self._names])
        count = min(count // 2 or 1, len(there), int(absent.sum()))
        chances = frequency * absent
        if not chances.any():
            return []
        count = min(count, int((chances > 0).sum()))
        shown = [there[i] for i in self._rng.choice(len(there), count, replace=False)]
        lacking = self._rng.choice(list(self._names), count, replace=False, p=chances / chances.sum()).tolist()
        return [
            *(self._ask("presence", key, "yes") for key in shown),
            *(self._ask("presence", key, "no") for key in lacking),
        ]

    def counts(self, count: int) -> list[Question]:
        """Of classes without a crowd region, up to twelve."""
        keys = [k for k, n in self._count.items() if k not in self._crowded and str(n) in NUMBERS]
        return [self._ask("count", key, str(self._count[key])) for key in self._some(keys, count)]

    def sides(self, count: int, width_px: int) -> list[Question]:
        """Of classes that are there once, clearly off the middle."""
        places = {}
        for item in self._single():
            offset = (item.box_xyxy_px[0] + item.box_xyxy_px[2]) / 2 / max(width_px, 1) - 0.5
            if abs(offset) > _FAR_FROM_MIDDLE:
                places[item.category_id] = SIDES[int(offset > 0)]
        return [self._ask("side", key, places[key]) for key in self._some(list(places), count)]

    def colours(self, count: int, colours: dict[int, str]) -> list[Question]:
        """Of classes that are there once and have one measurable colour."""
        known = {i.category_id: colours[i.annotation_id] for i in self._single() if i.annotation_id in colours}
        return [self._ask("colour", key, known[key]) for key in self._some(list(known), count)]

    def _single(self) -> list[Instance]:
        return [i for i in self._items if self._count[i.category_id] == 1 and not i.crowd]

    def _some(self, keys: list[int], count: int) -> list[int]:
        return [keys[i] for i in self._rng.permutation(len(keys))[:count]]

    def _ask(self, kind: str, category: int, answer: str) -> Question:
        forms, name = FORMS[kind], self._names[category]
        form = forms[int(self._rng.integers(len(forms)))]
        text = form.format(a="an" if name[0] in "aeiou" else "a", one=name, many=plural(name))
        return Question(self._image_id, text, answer, kind, name)


def measure_colours(dataset: InstanceSet) -> dict[int, str]:
    """Colour names by annotation id, of objects with an outline and one clear colour; people have none."""
    outlined: dict[int, list[Instance]] = {}
    for item in dataset.instances:
        if (
            isinstance(item.segmentation, list)
            and item.segmentation
            and dataset.categories[item.category_id] != "person"
        ):
            outlined.setdefault(item.image_id, []).append(item)
    found = {}
    for picture in dataset.pictures:
        items = outlined.get(picture.image_id, [])
        image = cv2.imread(str(picture.path), cv2.IMREAD_COLOR) if items else None
        if image is None:
            continue
        rgb = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
        for item in items:
            name = main_colour(rgb, _inside(item, picture))
            if name:
                found[item.annotation_id] = name
    return found


def _inside(item: Instance, picture: Picture) -> NDArray[np.bool_]:
    """bool[H, W] of a polygon annotation."""
    mask = np.zeros((picture.height, picture.width), np.uint8)
    outlines = [np.array(part, np.float32).reshape(-1, 2).round().astype(np.int32) for part in item.segmentation]
    cv2.fillPoly(mask, outlines, 1)
    return mask.astype(bool)
