"""Referring phrases made by rule from the objects of a picture, only where their geometry is unambiguous."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.language.lexicon import plural
from vision_llm_ros.language.words import SYNONYMS
from vision_llm_ros.training.scenes import Scene

Rng = np.random.Generator
_MARGIN = 0.06  # of the picture's side, between places that words tell apart
_LARGER = 1.6  # ratio of areas
_MOST_NAMED = 6
_SYNONYM_SHARE = 0.15
_KIND_PRESENT = 0.85

# Kinds of classes (COCO's supercategories and some uses) and how they are called.
_KINDS = (
    ("vehicles|means of transport|every vehicle", "bicycle car motorcycle airplane bus train truck boat"),
    ("animals|every animal|living creatures", "bird cat dog horse sheep cow elephant bear zebra giraffe person"),
    ("food|everything i can eat|food items", "banana apple sandwich orange broccoli carrot hot-dog pizza donut cake"),
    ("fruits|every fruit", "banana apple orange"),
    ("furniture|pieces of furniture", "chair couch bed dining-table bench"),
    ("kitchen appliances", "microwave oven toaster refrigerator"),
    ("electronic devices|electronics", "tv laptop mouse remote keyboard cell-phone"),
    ("cutlery|everything i can eat with", "fork knife spoon"),
    ("bags|every bag", "backpack handbag suitcase"),
    ("sports equipment", "frisbee skis snowboard sports-ball kite baseball-bat skateboard surfboard tennis-racket"),
)
Kind = tuple[Sequence[str], Sequence[str]]  # what it is called, the classes it means
KINDS: tuple[Kind, ...] = tuple(
    (calls.split("|"), tuple(n.replace("-", " ") for n in names.split())) for calls, names in _KINDS
)
_EXTREMES: tuple[tuple[tuple[str, ...], int, int], ...] = (
    (("leftmost {}", "{} on the far left", "left {}", "{} on the left"), 0, 1),
    (("rightmost {}", "{} on the far right", "right {}", "{} on the right"), 0, -1),
    (("topmost {}", "top {}", "upper {}", "{} at the top"), 1, 1),
    (("bottom {}", "lower {}", "{} at the bottom"), 1, -1),
)
_SIDES = (("to the left of", 0, 1), ("to the right of", 0, -1), ("above", 1, 1), ("below", 1, -1))
_COUNTS = ("", "one", "two", "three", "four", "five", "six")
_MIRRORED = {"left": "right", "right": "left", "leftmost": "rightmost", "rightmost": "leftmost"}


@dataclass(frozen=True)
class Meaning:
    """A phrase and the objects it means, bool[N]; `kind` names the rule, as in files of referring expressions."""

    text: str
    meant: NDArray[np.bool_]
    kind: str = ""


def mirrored_words(text: str) -> str:
    """Left and right swapped, as a mirrored picture needs it."""
    return re.sub(r"\b(?:left|right)(?:most)?\b", lambda found: _MIRRORED[found[0]], text)


def of_class(scene: Scene, name: str, rng: Rng) -> Meaning:
    """All objects of a class, which may be none: "dogs", "every dog", "the dog"."""
    meant = np.array([each == name for each in scene.names], bool)
    said = _called(name, rng)
    forms = ["all {s}", "every {}", "{s}", "each {}", "the {s}"]
    if (meant & ~scene.crowd).sum() <= 1 and not (meant & scene.crowd).any():
        forms = ["the {}", "{}", "the {}", *forms[:2]]
    form = str(rng.choice(forms))
    kind = ("absent", "unique", "all")[min(int(meant.sum()), 2)]
    return Meaning(form.replace("{s}", plural(said)).replace("{}", said), meant, kind)


def of_kind(scene: Scene, rng: Rng, kinds: Sequence[Kind] = KINDS) -> Meaning:
    """All objects of a kind of classes, preferably of one that is there: "vehicles"."""
    present = [kind for kind in kinds if not set(kind[1]).isdisjoint(scene.names)]
    chosen = present if present and rng.random() < _KIND_PRESENT else kinds
    calls, names = chosen[int(rng.integers(len(chosen)))]
    return Meaning(str(rng.choice(calls)), np.array([each in names for each in scene.names], bool), "group")


def by_geometry(scene: Scene, rng: Rng) -> Meaning | None:
    """One object told from others by place, size, count or a neighbour; None where nothing is clear."""
    makers: list[Callable[[Scene, str, Rng], Meaning | None]] = [_extreme, _extreme, _by_size, _counted, _beside]
    names = [name for name in sorted(set(scene.names)) if not _crowded(scene, name)]
    for name in rng.permutation(names):
        for maker in rng.permutation(np.array(makers, object)):
            found = maker(scene, str(name), rng)
            if found is not None:
                return found  # type: ignore[no-any-return]
    return None


def _called(name: str, rng: Rng) -> str:
    others = [word for word, label in SYNONYMS.items() if label == name]
    return str(rng.choice(others)) if others and rng.random() < _SYNONYM_SHARE else name


def _crowded(scene: Scene, name: str) -> bool:
    return any(each == name and crowd for each, crowd in zip(scene.names, scene.crowd, strict=True))


def _places(scene: Scene) -> NDArray[np.float32]:
    """Centres float[N, 2] as fractions of the picture."""
    height, width = scene.image_rgb_u8.shape[:2]
    centres = (scene.boxes_xyxy_px[:, :2] + scene.boxes_xyxy_px[:, 2:]) / 2
    return np.asarray(centres / np.array([width, height]), np.float32)


def _of(scene: Scene, name: str) -> NDArray[np.int64]:
    return np.array([index for index, each in enumerate(scene.names) if each == name], np.int64)


def _only(scene: Scene, indices: int | Sequence[int] | NDArray[np.int64]) -> NDArray[np.bool_]:
    meant = np.zeros(len(scene.names), bool)
    meant[indices] = True
    return meant


def _extreme(scene: Scene, name: str, rng: Rng) -> Meaning | None:
    own = _of(scene, name)
    if not 2 <= len(own) <= 2 * _MOST_NAMED:
        return None
    forms, axis, sign = _EXTREMES[int(rng.choice(4, p=(0.35, 0.35, 0.15, 0.15)))]
    values = _places(scene)[own, axis] * sign
    order = values.argsort()
    if values[order[1]] - values[order[0]] < _MARGIN:
        return None
    plain = forms if len(own) == 2 else forms[:2] if axis == 0 else forms[:1]
    return Meaning(f"the {rng.choice(plain)}".format(name), _only(scene, int(own[order[0]])), "position")


def _by_size(scene: Scene, name: str, rng: Rng) -> Meaning | None:
    own = _of(scene, name)
    if not 2 <= len(own) <= 2 * _MOST_NAMED:
        return None
    areas = (scene.boxes_xyxy_px[own, 2:] - scene.boxes_xyxy_px[own, :2]).prod(1)
    order = areas.argsort()
    if rng.random() < 0.5:
        words, best, ratio = ("largest", "biggest", "big"), order[-1], areas[order[-1]] / areas[order[-2]]
    else:
        words, best, ratio = ("smallest", "small", "smallest"), order[0], areas[order[1]] / max(areas[order[0]], 1.0)
    if ratio < _LARGER:
        return None
    return Meaning(f"the {rng.choice(words)} {name}", _only(scene, int(own[best])), "size")


def _counted(scene: Scene, name: str, rng: Rng) -> Meaning | None:
    own = _of(scene, name)
    if not 2 <= len(own) <= _MOST_NAMED:
        return None
    article = "the " if rng.random() < 0.7 else ""
    return Meaning(f"{article}{_COUNTS[len(own)]} {plural(name)}", _only(scene, own), "count")


def _beside(scene: Scene, name: str, rng: Rng) -> Meaning | None:
    """ "the cup to the left of the laptop": the laptop is the only one, one cup is on that side, others clearly not."""
    own = _of(scene, name)
    anchors = [each for each in set(scene.names) if each != name and len(_of(scene, each)) == 1]
    if not anchors or not 2 <= len(own) <= _MOST_NAMED:
        return None
    anchor = str(rng.choice(sorted(anchors)))
    words, axis, sign = _SIDES[int(rng.integers(len(_SIDES)))]
    centres = _places(scene)
    apart = (centres[_of(scene, anchor)[0], axis] - centres[own, axis]) * sign
    there = apart > _MARGIN
    if there.sum() != 1 or (np.abs(apart) <= _MARGIN).any():
        return None
    return Meaning(f"the {name} {words} the {anchor}", _only(scene, int(own[there][0])), "relation")
