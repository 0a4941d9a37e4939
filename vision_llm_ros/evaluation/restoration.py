"""The restoration exam: clean pictures are degraded with a seed and restored by the model and by plain methods."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vision_llm_ros.errors import InputError
from vision_llm_ros.evaluation.classical import METHODS
from vision_llm_ros.evaluation.quality import IDENTICAL_DB, quality
from vision_llm_ros.evaluation.trial import Image, Trial
from vision_llm_ros.interfaces import Task, TaskSpec
from vision_llm_ros.runtime.pictures import PICTURE_SUFFIXES
from vision_llm_ros.training.datasets import Picture
from vision_llm_ros.training.degradations import RESTORATIONS, degrade

SIZE_PX = 224
RECONSTRUCT = "reconstruct"
SPATIAL = ("rotate", "flip")
Scores = dict[str, list[dict[str, float]]]


def find_pictures(folder: Path) -> list[Picture]:
    """Every picture file under a folder, sorted by path.

    Raises:
        InputError: no such folder, or none in it.
    """
    if not folder.is_dir():
        raise InputError(f"--images {folder} is not a folder")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file())
    if not paths:
        raise InputError(f"{folder} holds no picture ({', '.join(PICTURE_SUFFIXES)}), subfolders included")
    return [Picture(index, path, 0, 0) for index, path in enumerate(paths)]


def restore(
    trial: Trial, pictures: Sequence[Picture], kinds: Sequence[str] = tuple(RESTORATIONS), size_px: int = SIZE_PX
) -> dict[str, Any]:
    """Compare with the clean picture: the degraded one, the model's, its mere reconstruction, the best plain method.

    A clean picture is the centre square, resized (bicubic) to `size_px`. The reconstruction passes a picture through
    the model's encoder and decoder alone: the degraded one, or for rotate and flip, where that says nothing, the clean.

    Returns:
        kinds {kind: {input, reconstruction, ours, classical {psnr, ssim}}}; None where nothing was measured. The
        classical entry names its method, and `methods` gives the others; `pictures` counts those of the model.
        clean {pictures, untouched, least_psnr}: what the model does to pictures that nothing is wrong with when told
        to clean them up; None without a model.
    """
    trial.require(Task.RESTORE)
    scores: dict[str, Scores] = {kind: defaultdict(list) for kind in kinds}
    kept: list[float] = []
    for picture, image in trial.read(pictures, "restore"):
        clean = centre_square(image, size_px)
        for place, kind in enumerate(RESTORATIONS):
            if kind in scores:
                rng = np.random.default_rng((trial.seed, picture.image_id, place))
                _compare(trial, picture, clean, degrade(clean, kind, rng), kind, scores[kind])
        if trial.engine is not None and (answer := _restored(trial, picture, clean, "")) is not None:
            kept.append(quality(answer, clean)["psnr"])
    trial.finish()
    summary = {kind: _summary(kind, parts) for kind, parts in scores.items()}
    return {"kinds": summary, "clean": _unharmed(kept), "size_px": size_px}


def centre_square(image: Image, size_px: int) -> Image:
    """Largest centred square, resized to `size_px` (area-averaged first where it shrinks by more than half)."""
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side]
    if side > 2 * size_px:
        square = cv2.resize(square, (2 * size_px, 2 * size_px), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(square, (size_px, size_px), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def _compare(trial: Trial, picture: Picture, clean: Image, degraded: Image, kind: str, scores: Scores) -> None:
    scores["input"].append(quality(degraded, clean))
    for name, method in METHODS[kind].items():
        scores[f"classical {name}"].append(quality(method(degraded), clean))
    if trial.engine is None:
        return
    restored = _restored(trial, picture, degraded, kind)
    if restored is not None:
        scores["ours"].append(quality(restored, clean))
    passed = _restored(trial, picture, clean if kind in SPATIAL else degraded, RECONSTRUCT)
    if passed is not None:
        scores["reconstruction"].append(quality(passed, clean))


def _restored(trial: Trial, picture: Picture, image: Image, kind: str) -> Image | None:
    (answer,) = trial.ask(str(picture.path), image, (TaskSpec(Task.RESTORE, restore_kind=kind),))
    if answer.restored is None:
        return None
    restored = answer.restored.image_rgb_u8
    if restored.shape != image.shape:
        trial.notes.add(f"{picture.path} {kind}: expected {list(image.shape)}, the model gave {list(restored.shape)}")
        return None
    return restored


def _summary(kind: str, scores: Scores) -> dict[str, Any]:
    methods = {name: _mean(scores[f"classical {name}"]) for name in METHODS[kind]}
    best = max(methods, key=lambda name: (methods[name] or {"psnr": -np.inf})["psnr"])
    return {
        "input": _mean(scores["input"]),
        "reconstruction": _mean(scores["reconstruction"]),
        "classical": {**(methods[best] or {}), "method": best},
        "ours": _mean(scores["ours"]),
        "methods": methods,
        "pictures": len(scores["ours"]),
    }


def _unharmed(psnr: Sequence[float]) -> dict[str, Any] | None:
    if not psnr:
        return None
    untouched = sum(value >= IDENTICAL_DB for value in psnr) / len(psnr)
    return {"pictures": len(psnr), "untouched": untouched, "least_psnr": min(psnr)}


def _mean(values: Sequence[dict[str, float]]) -> dict[str, float] | None:
    return {key: float(np.mean([value[key] for value in values])) for key in ("psnr", "ssim")} if values else None
