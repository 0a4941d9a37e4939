"""How well is a hole of an object's shape filled: PSNR and SSIM inside it, of what is used and of the other ways."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from vision_llm_ros.errors import InputError
from vision_llm_ros.evaluation.trial import Image, Trial
from vision_llm_ros.interfaces import Task, TaskSpec
from vision_llm_ros.runtime.edit_route import widened
from vision_llm_ros.runtime.filling import Fill, fill, navier_stokes, spread, telea
from vision_llm_ros.training.datasets import Instance, InstanceSet, Picture
from vision_llm_ros.training.scenes import fill_outline

SIZES = {"all": (0.0, 1.0), "below 1 %": (0.0, 0.01), "1 to 5 %": (0.01, 0.05), "from 5 %": (0.05, 1.0)}
LEAST_PX, LARGEST_SHARE = 60, 0.3
TRIES = 20
Hole = NDArray[np.bool_]


def edit(trial: Trial, dataset: InstanceSet, pictures: Sequence[Picture]) -> dict[str, Any]:
    """Put the outline of an object of another picture on each, somewhere, widened as for taking out, and fill it.

    Returns:
        sizes: by the hole's share of the picture {pictures, methods {name: {psnr in dB, ssim, milliseconds}}}, inside
        the hole. `ours` is what the command uses, `network` the restoration network's mask removal.
    Raises:
        InputError: no object has an outline.
    """
    outlined = [item for item in dataset.instances if not item.crowd and item.segmentation]
    if not outlined:
        raise InputError("No object has an outline: holes are made of outlines")
    known = {picture.image_id: picture for picture in dataset.pictures}
    methods: dict[str, Fill] = {"ours": fill, "telea": telea, "navier-stokes": navier_stokes, "spread": spread}
    if trial.engine is not None:
        trial.require(Task.RESTORE)
        methods["network"] = lambda image, hole: _by_network(trial, image, hole)
    rng, measured = np.random.default_rng(trial.seed), []
    for _, image in trial.read(pictures, "edit"):
        hole = _hole(image.shape[:2], outlined, known, rng)
        if hole is not None:
            measured.append((float(hole.mean()), {name: _score(way, image, hole) for name, way in methods.items()}))
    trial.finish()
    sizes = {name: _means(measured, *span) for name, span in SIZES.items()}
    return {"sizes": {name: values for name, values in sizes.items() if values["pictures"]}, "holes": len(measured)}


def _hole(
    size_hw: tuple[int, ...], outlined: Sequence[Instance], known: dict[int, Picture], rng: np.random.Generator
) -> Hole | None:
    """An object's outline at some place of a picture; None where none of the drawn ones fits."""
    height, width = size_hw
    for _ in range(TRIES):
        item = outlined[int(rng.integers(len(outlined)))]
        source = known[item.image_id]
        outline = fill_outline(item.segmentation, (source.height, source.width))
        if outline is None:
            continue
        rows, columns = np.flatnonzero(outline.any(1)), np.flatnonzero(outline.any(0))
        part = outline[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        free = height - part.shape[0], width - part.shape[1]
        if min(free) > 0 and LEAST_PX <= part.sum() <= LARGEST_SHARE * height * width:
            top, left = (int(rng.integers(room)) for room in free)
            hole = np.zeros((height, width), np.bool_)
            hole[top : top + part.shape[0], left : left + part.shape[1]] = part
            return widened(hole)
    return None


def _by_network(trial: Trial, image: Image, hole: Hole) -> Image:
    """The network's mask removal, which takes black pixels for holes."""
    holed = np.where(hole[..., None], 0, np.maximum(image, 1)).astype(np.uint8)
    (answer,) = trial.ask("a hole", holed, (TaskSpec(Task.RESTORE, restore_kind="mask"),))
    return image if answer.restored is None else np.where(hole[..., None], answer.restored.image_rgb_u8, image)


def _score(way: Fill, image: Image, hole: Hole) -> dict[str, float]:
    started = time.perf_counter()
    filled = way(image, hole)
    spent = time.perf_counter() - started
    error = float(np.mean((filled[hole].astype(float) - image[hole]) ** 2))
    _, likeness = structural_similarity(image, filled, channel_axis=2, full=True)
    psnr = 10 * float(np.log10(255.0**2 / max(error, 1e-3)))
    return {"psnr": psnr, "ssim": float(likeness[hole].mean()), "milliseconds": 1e3 * spent}


def _means(measured: Sequence[tuple[float, dict[str, dict[str, float]]]], low: float, high: float) -> dict[str, Any]:
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    chosen = [scores for share, scores in measured if low <= share < high]
    for scores in chosen:
        for name, numbers in scores.items():
            for key, value in numbers.items():
                values[name][key].append(value)
    means = {name: {key: float(np.mean(some)) for key, some in keys.items()} for name, keys in values.items()}
    return {"pictures": len(chosen), "methods": means}
