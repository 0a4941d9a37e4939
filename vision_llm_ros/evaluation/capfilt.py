"""CapFilt (BLIP, section 3.3): a captioner proposes, a filter rejects, kept pairs train the next model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vision_llm_ros.evaluation.trial import Trial
from vision_llm_ros.interfaces import Frame, Status, Task, TaskSpec
from vision_llm_ros.runtime.matching import Matcher
from vision_llm_ros.training.datasets import Picture

SHOWN = 12


@dataclass(frozen=True)
class Judged:
    """A sentence for a picture, where it comes from, and what the filter thinks of it.

    Attributes:
        origin: "given", or "synthetic" where the captioner wrote it.
        true: False where it was put to a wrong picture on purpose.
    """

    picture: Picture
    text: str
    origin: str
    probability: float
    kept: bool
    true: bool = True

    def values(self) -> dict[str, Any]:
        return {
            "image": self.picture.path.name,
            "text": self.text,
            "origin": self.origin,
            "probability": round(self.probability, 4),
        }


def shuffled(
    captions: dict[int, tuple[str, ...]], share: float, seed: int
) -> tuple[dict[int, tuple[str, ...]], set[tuple[int, int]]]:
    """Give a share of the sentences to wrong pictures.

    Returns:
        the sentences by picture, and the (picture, place) of those that are wrong.
    """
    rng = np.random.default_rng(seed)
    places = [(image_id, place) for image_id, texts in captions.items() for place in range(len(texts))]
    chosen = [places[i] for i in rng.permutation(len(places))[: round(share * len(places))]]
    donors = sorted(chosen)  # by picture: half the list further is another picture, but for a single one
    given = {target: donors[(place + len(donors) // 2) % len(donors)] for place, target in enumerate(donors)}
    noisy = {image_id: list(texts) for image_id, texts in captions.items()}
    for (image_id, place), (donor, donated) in given.items():
        noisy[image_id][place] = captions[donor][donated]
    wrong = {target for target, donor in given.items() if target[0] != donor[0]}
    return {image_id: tuple(texts) for image_id, texts in noisy.items()}, wrong


def judge(
    trial: Trial,
    matcher: Matcher,
    pictures: Sequence[Picture],
    captions: dict[int, tuple[str, ...]],
    propose: bool,
    threshold: float,
    wrong: set[tuple[int, int]] = frozenset(),  # type: ignore[assignment]
) -> Iterator[Judged]:
    """Judge every given sentence and, with `propose`, one by the captioner; unreadable pictures are passed over."""
    for picture, image in trial.read(pictures, "capfilt"):
        given = captions.get(picture.image_id, ())
        texts = [(text, "given", (picture.image_id, place) not in wrong) for place, text in enumerate(given)]
        if propose:
            (answer,) = trial.ask(str(picture.path), image, (TaskSpec(Task.CAPTION),))
            if answer.status is Status.OK and answer.caption is not None:
                texts.append((answer.caption.text, "synthetic", True))
        if not texts:
            continue
        look = matcher.look_frame(Frame(image))
        for (text, origin, true), fit in zip(texts, matcher.fits([(look, text) for text, _, _ in texts]), strict=True):
            yield Judged(picture, text, origin, fit.probability, fit.probability >= threshold, true)


def coco(judged: Sequence[Judged], root: Path) -> dict[str, Any]:
    """Pairs as a COCO captions file of pictures below `root`; the next training reads it."""
    pictures = {each.picture.image_id: each.picture for each in judged}
    images = [
        {"id": key, "file_name": str(picture.path.relative_to(root)), "width": picture.width, "height": picture.height}
        for key, picture in pictures.items()
    ]
    annotations = [
        {"id": number, "image_id": each.picture.image_id, "caption": each.text, "origin": each.origin}
        for number, each in enumerate(judged, 1)
    ]
    return {"images": images, "annotations": annotations}


def report(judged: Sequence[Judged], threshold: float, noise: float) -> dict[str, Any]:
    """Counts by origin, samples of both kinds, and with noise put in on purpose how well the filter found it."""
    values: dict[str, Any] = {"threshold": threshold}
    for origin in ("given", "synthetic"):
        some = [each for each in judged if each.origin == origin]
        values[origin] = {"judged": len(some), "kept": sum(each.kept for each in some)}
    ranked = sorted(judged, key=lambda each: -each.probability)
    values["accepted"] = [each.values() for each in ranked if each.kept][:SHOWN]
    values["rejected"] = [each.values() for each in ranked[::-1] if not each.kept][:SHOWN]
    if noise > 0:
        given = [each for each in judged if each.origin == "given"]
        kept = [each for each in given if each.kept]
        right = sum(each.true for each in kept)
        values["noise"] = {
            "share": noise,
            "precision": right / len(kept) if kept else None,
            "recall": right / max(sum(each.true for each in given), 1),
        }
    return values
