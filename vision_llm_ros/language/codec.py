"""Positions to location tokens and back: the arithmetic that learning and decoding share.

A point is told by its offset from its image token's centre, per axis in units of the image side: bin `i` of `n` bins
says `(i - h) / h` sides, h = (n - 1) / 2. With 1025 bins that is `<p-512>`..`<p512>`, value p / 512.
Source: VisionLLM, section 3.2. Works on numpy arrays and torch tensors alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from vision_llm_ros.errors import ConfigError

A = TypeVar("A", bound=Any)  # an array of floats


@dataclass(frozen=True)
class OffsetCodec:
    """Quantises offsets into `bins` (odd) steps; error at most 0.5 / half of the side, offsets beyond +-1 saturate."""

    bins: int = 1025

    def __post_init__(self) -> None:
        if self.bins < 3 or self.bins % 2 == 0:
            raise ConfigError(f"Expected an odd number of bins from 3, got {self.bins}")

    @property
    def half(self) -> int:
        """Bins on either side of the centre: the range told in the instruction."""
        return self.bins // 2

    def place(self, offsets: A) -> A:
        """Offsets in image sides to fractional bins 0..bins-1 of the same shape."""
        return offsets.clip(-1.0, 1.0) * self.half + self.half  # type: ignore[no-any-return]

    def encode(self, offsets: A) -> A:
        """Offsets in image sides to the nearest bins, whole numbers 0..bins-1."""
        return self.place(offsets).round()  # type: ignore[no-any-return]

    def decode(self, bins: A) -> A:
        """Bins, whole or fractional, to offsets in image sides."""
        return (bins - self.half) / self.half  # type: ignore[no-any-return]
