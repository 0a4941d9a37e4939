"""Photographs for learning restoration: random tiles, damaged with a seed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vision_llm_ros.errors import InputError
from vision_llm_ros.model.autoencoder import patchify
from vision_llm_ros.model.detail import KINDS
from vision_llm_ros.training.degradations import DegradationConfig, degrade

logger = logging.getLogger(__name__)

Image = NDArray[np.uint8]
_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
_TRIES = 20
_CLEAN_SHARE = 0.08
_LEAST_ERROR = 1e-10


@dataclass(frozen=True)
class Damaged:
    """Tiles before and after damage.

    Attributes:
        clean, damaged: float[B, 3, T, T], RGB 0..1.
        kinds: int[B], places of the damage in a list of kinds.
        strengths: float[B, 5], 0..1 for each of `model.detail.KINDS`.
        together: how many in a row are of one picture.
    """

    clean: Tensor
    damaged: Tensor
    kinds: Tensor
    strengths: Tensor
    together: int = 1

    def cut(self, tile_px: int) -> Damaged:
        """The same in smaller tiles, those of a picture in a row; its sides must be multiples of theirs."""
        clean, damaged = (
            patchify(pictures, tile_px).reshape(-1, 3, tile_px, tile_px) for pictures in (self.clean, self.damaged)
        )
        number = len(clean) // len(self.clean)
        kinds, strengths = (some.repeat_interleave(number, 0) for some in (self.kinds, self.strengths))
        return Damaged(clean, damaged, kinds, strengths, number)

    @property
    def strength(self) -> Tensor:
        """float[B], 0..1, of each one's only kind of damage; 0 where there is none, as before turns."""
        return self.strengths.max(1).values

    def harmed(self) -> Damaged:
        """Those that are damaged at all, which alone would be restored."""
        some = self.strength > 0
        clean, damaged, kinds, strengths = self.clean[some], self.damaged[some], self.kinds[some], self.strengths[some]
        return Damaged(clean, damaged, kinds, strengths, self.together)


class Photographs:
    """Centre squares of photographs at one size, read when first needed and kept in memory."""

    def __init__(self, paths: Sequence[Path], size_px: int, held_out: float = 0.0, kept_back: bool = False) -> None:
        """Take a share of the files.

        Args:
            held_out: share of the files (every n-th) that is kept back to choose by.
            kept_back: take that share instead of the rest.
        Raises:
            InputError: no file is left.
        """
        every = round(1 / held_out) if held_out else 0
        chosen = [path for index, path in enumerate(paths) if (every > 0 and index % every == 0) == kept_back]
        if not chosen:
            raise InputError(f"Expected photographs, got {len(paths)} files, of which none is left to learn from")
        self.paths, self.size_px = chosen, size_px
        self._squares: dict[int, Image | None] = {}

    def square(self, index: int) -> Image | None:
        """uint8[S, S, 3] RGB; None where the file cannot be read, which is said once."""
        if index not in self._squares:
            self._squares[index] = _read(self.paths[index], self.size_px)
        return self._squares[index]

    def any_square(self, rng: np.random.Generator) -> Image:
        """A random one.

        Raises:
            InputError: many files in a row cannot be read.
        """
        for _ in range(_TRIES):
            square = self.square(int(rng.integers(len(self.paths))))
            if square is not None:
                return square
        raise InputError(f"{_TRIES} photographs in a row cannot be read, e.g. {self.paths[0]}")

    def tile(self, side_px: int, rng: np.random.Generator) -> Image:
        """uint8[T, T, 3]: a random place of a random photograph, turned and mirrored at random."""
        square = self.any_square(rng)
        top, left = rng.integers(0, self.size_px - side_px + 1, 2)
        tile = np.rot90(square[top : top + side_px, left : left + side_px], int(rng.integers(4)))
        return np.ascontiguousarray(tile[:, ::-1] if rng.random() < 0.5 else tile)

    def tiles(self, number: int, side_px: int, rng: np.random.Generator) -> Tensor:
        """float[B, 3, T, T], RGB 0..1."""
        return to_tensor([self.tile(side_px, rng) for _ in range(number)])

    def damaged(self, number: int, side_px: int, kinds: Sequence[str], rng: np.random.Generator) -> Damaged:
        """Tiles, each with one random kind of damage of random strength; a few stay clean whatever their kind."""
        clean = [self.tile(side_px, rng) for _ in range(number)]
        places = rng.integers(0, len(kinds), number)
        pairs = [weakened(tile, kinds[place], rng) for tile, place in zip(clean, places, strict=True)]
        strengths = torch.tensor(np.stack([strength for _, strength in pairs]), dtype=torch.float32)
        damaged = to_tensor([tile for tile, _ in pairs])
        return Damaged(to_tensor(clean), damaged, torch.from_numpy(places), strengths)


def weakened(tile: Image, kind: str, rng: np.random.Generator) -> tuple[Image, NDArray[np.float32]]:
    """Damage one picture by what `kind` undoes: the picture and the strengths float32[5] of `KINDS`."""
    strengths = np.zeros(len(KINDS), np.float32)
    if kind not in KINDS:
        return degrade(tile, kind, rng), strengths
    share = 0.0 if rng.random() < _CLEAN_SHARE else float(rng.uniform())
    if kind == "deblur":
        share = (int(rng.integers(1, 4)) if share else 0) / 3
    strengths[KINDS.index(kind)] = share
    return degrade(tile, kind, rng, fixed(kind, share)), strengths


def fixed(kind: str, share: float) -> DegradationConfig:
    """Damage of a fixed strength, 0..1 of the strongest."""
    usual = DegradationConfig()
    if kind == "denoise":
        return DegradationConfig(noise_sigma=(share * usual.noise_sigma[1],) * 2)
    if kind == "deblur":
        return DegradationConfig(blur_windows_px=(1 + 2 * round(3 * share),))
    if kind == "pepper":
        return DegradationConfig(pepper_fraction=(share * usual.pepper_fraction[1],) * 2)
    if kind == "derain":
        return DegradationConfig(rain_amount=(share * usual.rain_amount[1],) * 2)
    return DegradationConfig(mask_ratio=share * usual.mask_ratio)


def to_tensor(images: Sequence[Image]) -> Tensor:
    """uint8[H, W, 3] pictures of one size to float[B, 3, H, W], 0..1."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255


def psnr(tiles: Tensor, clean: Tensor, together: int = 1) -> Tensor:
    """dB, of each of float[B, 3, T, T], 0..1, or of so many in a row `together`; what lies beyond is cut off first."""
    return -10 * squared_error(tiles.clamp(0, 1), clean, together).clamp(min=_LEAST_ERROR).log10()


def squared_error(tiles: Tensor, clean: Tensor, together: int = 1) -> Tensor:
    """float[B / together]: the mean over so many tiles float[B, 3, T, T] in a row."""
    return (tiles - clean).square().mean((1, 2, 3)).view(-1, together).mean(1)


def read_list(path: Path) -> list[Path]:
    """Files named one a line, relative to the list's own folder; or every picture under a folder.

    Raises:
        InputError: no such list, or nothing in it.
    """
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.suffix.lower() in _SUFFIXES)
    else:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise InputError(f"Cannot read {path}: {error.strerror}") from error
        found = [path.parent / line.strip() for line in lines if line.strip()]
    if not found:
        raise InputError(f"{path} names no picture; expected a folder of pictures, or a text file with one a line")
    return found


def _read(path: Path, size_px: int) -> Image | None:
    pixels = cv2.imread(str(path))
    if pixels is None:
        logger.warning("Cannot decode %s; another photograph takes its place", path)
        return None
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = cv2.cvtColor(pixels[top : top + side, left : left + side], cv2.COLOR_BGR2RGB)
    method = cv2.INTER_AREA if side > 2 * size_px else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(square, (size_px, size_px), interpolation=method), np.uint8)
