"""Frozen features of every picture, computed once and kept on disk in half precision."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from vision_llm_ros.errors import InputError
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.model.letterbox import Letterbox
from vision_llm_ros.model.qformer_image import ImageInput, Seen, grid
from vision_llm_ros.model.weights import joint_hash
from vision_llm_ros.training.datasets import Picture

logger = logging.getLogger(__name__)

_INDEX = "features.json"
_FIT_PICTURES, _BATCH = 200, 8


class Features:
    """The `Seen` of each picture."""

    def __init__(self, folder: Path) -> None:
        """Open what `compute` has written. Its rows follow `image_ids`."""
        self.image_ids: list[int] = json.loads((folder / _INDEX).read_text(encoding="utf-8"))["image_ids"]
        self.rows = {image_id: row for row, image_id in enumerate(self.image_ids)}
        self._arrays = [np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("cells", "semantics", "boxes")]

    def seen(self, rows: Sequence[int]) -> Seen:
        """Pictures of these rows."""
        cells, semantics, boxes = (torch.from_numpy(a[np.asarray(rows)].astype(np.float32)) for a in self._arrays)
        return Seen(cells, semantics, boxes)


def compute(model: VisionLLM, image: ImageInput, pictures: Sequence[Picture], folder: Path, fit: bool) -> Features:
    """Compute the features of pictures, or open those computed before from the same parameters.

    Args:
        image: gives the reduction; with `fit` it is first fitted to some of the pictures.
    Raises:
        InputError: no picture can be read.
    """
    index = folder / _INDEX
    if fit and not (folder / "reduce.pt").is_file():
        _fit(model, image, pictures, folder)
    elif fit:
        image.reduce.load_state_dict(torch.load(folder / "reduce.pt", weights_only=True))
    parameters, paths = _fingerprint(model, image), [str(picture.path) for picture in pictures]
    if index.is_file():
        known = json.loads(index.read_text(encoding="utf-8"))
        if known["parameters"] == parameters and set(paths) <= set(known["pictures"]):
            return Features(folder)
    image_ids = _write(model, image, pictures, folder)
    index.write_text(
        json.dumps({"parameters": parameters, "pictures": paths, "image_ids": image_ids}), encoding="utf-8"
    )
    return Features(folder)


@torch.inference_mode()
def _fit(model: VisionLLM, image: ImageInput, pictures: Sequence[Picture], folder: Path) -> None:
    rng = np.random.default_rng(0)
    some = [pictures[i] for i in sorted(rng.permutation(len(pictures))[:_FIT_PICTURES])]
    samples = [
        grid(model.backbone(torch.stack(batch).to(model.device))).flatten(0, 2).cpu()
        for _, batch in _batches(some, model, "fit")
    ]
    kept = image.fit(torch.cat(samples))
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(image.reduce.state_dict(), folder / "reduce.pt")
    logger.info("The reduction keeps %.0f %% of the variance", 100 * kept)


def _fingerprint(model: VisionLLM, image: ImageInput) -> str:
    """Names the parameters that the features depend on."""
    modules = (model.backbone, model.tokenizer.dense, image.reduce)
    sums = [float(value.double().abs().sum()) for part in modules for value in part.state_dict().values()]
    return joint_hash(["features", *(f"{value:.9g}" for value in sums)])


@torch.inference_mode()
def _write(model: VisionLLM, image: ImageInput, pictures: Sequence[Picture], folder: Path) -> list[int]:
    """Write the arrays; returns the ids of the pictures that could be read, in order of the rows."""
    folder.mkdir(parents=True, exist_ok=True)
    cells, semantics, boxes = [], [], []
    read: list[Picture] = []
    for done, batch in _batches(pictures, model, "features"):
        pyramid = model.backbone(torch.stack(batch).to(model.device))
        seen = image.see(pyramid, model.tokenizer.dense(pyramid[1:]))
        cells.append(seen.cells.cpu().half())
        semantics.append(seen.semantics.cpu().half())
        boxes.append(seen.boxes_cxcywh.cpu().half())
        read += done
    if not read:
        raise InputError(f"None of {len(pictures)} pictures could be read, e.g. {pictures[0].path}")
    for name, parts in (("cells", cells), ("semantics", semantics), ("boxes", boxes)):
        np.save(folder / f"{name}.npy", torch.cat(parts).numpy())
    return [picture.image_id for picture in read]


def _batches(pictures: Sequence[Picture], model: VisionLLM, title: str) -> Iterator[tuple[list[Picture], list[Tensor]]]:
    """Pictures as network input, a few at a time; unreadable ones are named and left out."""
    with tqdm(total=len(pictures), desc=title, unit="picture") as bar:
        for start in range(0, len(pictures), _BATCH):
            part = pictures[start : start + _BATCH]
            bar.update(len(part))
            found = [(picture, _pixels(picture, model)) for picture in part]
            good = [(picture, pixels) for picture, pixels in found if pixels is not None]
            if good:
                yield [picture for picture, _ in good], [pixels for _, pixels in good]


def _pixels(picture: Picture, model: VisionLLM) -> Tensor | None:
    """uint8[3, S, S]; None where the picture cannot be read."""
    pixels = cv2.imread(str(picture.path))
    if pixels is None:
        logger.warning("Cannot read %s; it is left out", picture.path)
        return None
    rgb = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)
    box = Letterbox((rgb.shape[1], rgb.shape[0]), model.config.image_size_px, model.config.stretch)
    return torch.from_numpy(box.apply(rgb)).permute(2, 0, 1)
