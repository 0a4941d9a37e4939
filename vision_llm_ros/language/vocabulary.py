"""The tokens this package adds to a language model: names, dense rows from 0, and which rows belong together.

Rows are independent of the base tokenizer, so the same trained rows fit any base vocabulary. Order:
locations `<p-n>`..`<pn>`, classes `<c0>`.., format `<cls> <x1> <y1> .. <x24> <y24>`, the text query `<text>`,
then `[SEG0]`..`[SEG5]`. Location row = bin of `OffsetCodec`.
"""

from __future__ import annotations

import itertools
from functools import cached_property

from vision_llm_ros.errors import ConfigError
from vision_llm_ros.interfaces import MAX_POINTS, MIN_POINTS

SEG_TOKENS = 6
TEXT_QUERY = "<text>"


def format_names(num_points: int) -> tuple[str, ...]:
    """Names of one output tuple's query tokens: `<cls> <x1> <y1> ..`, 1 + 2 * num_points of them.

    Raises:
        ConfigError: fewer than 2 or more than 24 points.
    """
    if not MIN_POINTS <= num_points <= MAX_POINTS:
        raise ConfigError(f"Expected {MIN_POINTS} to {MAX_POINTS} points, got {num_points}")
    return ("<cls>", *(f"<{axis}{index}>" for index in range(1, num_points + 1) for axis in "xy"))


class Vocabulary:
    """Maps token names to rows and back.

    Attributes:
        names: every name, by row.
        locations, classes, formats, segs: their rows, as slices.
    """

    def __init__(self, location_bins: int = 1025, class_tokens: int = 512) -> None:
        """Lay the rows out.

        Raises:
            ConfigError: `location_bins` is even or under 3, or there is no class token.
        """
        if location_bins < 3 or location_bins % 2 == 0:
            raise ConfigError(f"Expected an odd number of location bins from 3, got {location_bins}")
        if class_tokens < 1:
            raise ConfigError(f"Expected at least one class token, got {class_tokens}")
        half = location_bins // 2
        blocks = (
            tuple(f"<p{offset}>" for offset in range(-half, half + 1)),
            tuple(f"<c{index}>" for index in range(class_tokens)),
            format_names(MAX_POINTS),
            (TEXT_QUERY,),
            tuple(f"[SEG{index}]" for index in range(SEG_TOKENS)),
        )
        self.names: tuple[str, ...] = tuple(name for block in blocks for name in block)
        starts = [sum(map(len, blocks[:index])) for index in range(len(blocks) + 1)]
        self.locations, self.classes, self.formats, text, self.segs = (
            slice(start, end) for start, end in itertools.pairwise(starts)
        )
        self.text_query: int = text.start

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.names)}

    def row(self, name: str) -> int:
        """Row of a token.

        Raises:
            ConfigError: no such token.
        """
        try:
            return self._rows[name]
        except KeyError:
            raise ConfigError(f"{name!r} is no token of this vocabulary ({len(self)} tokens)") from None

    def rows(self, names: tuple[str, ...]) -> tuple[int, ...]:
        """Rows of several tokens, in order."""
        return tuple(self.row(name) for name in names)

    def class_row(self, index: int) -> int:
        """Row of `<c{index}>`."""
        return self.row(f"<c{index}>")

    def format_query(self, num_points: int) -> tuple[int, ...]:
        """Rows of one output tuple's query; 2 points make a box, 8..24 a polygon."""
        return self.rows(format_names(num_points))
