"""Moments in folders and recordings by words: ITC makes a shortlist, ITM ranks it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.errors import InputError
from vision_llm_ros.evaluation.bags import BagReader
from vision_llm_ros.evaluation.restoration import find_pictures
from vision_llm_ros.interfaces import Frame
from vision_llm_ros.model.blip import Look
from vision_llm_ros.runtime.matching import Fit, Matcher
from vision_llm_ros.runtime.pictures import read_picture

logger = logging.getLogger(__name__)

_TILE_WH_PX = (240, 180)
_GAP_PX, _BACKGROUND, _LINE_PX = 6, 24, 20
_COLUMNS = 4


@dataclass(frozen=True)
class Moment:
    """A frame, where it comes from, and a thumbnail of it."""

    source: str
    stamp_ns: int
    thumbnail: NDArray[np.uint8]


@dataclass(frozen=True)
class Found:
    """A moment with its fit to the words."""

    moment: Moment
    fit: Fit

    def values(self) -> dict[str, Any]:
        return {
            "source": self.moment.source,
            "stamp_ns": self.moment.stamp_ns,
            "similarity": round(self.fit.similarity, 4),
            "probability": round(self.fit.probability, 4),
        }


def frames_of(place: Path, every: int, topics: tuple[str, ...] = ()) -> Iterator[tuple[str, Frame]]:
    """Each `every`-th picture of a folder or recording with its name; what cannot be read is named and passed over.

    Raises:
        InputError: no picture is there.
        RecordingError: the recording cannot be read.
    """
    return _recorded(place, every, topics) if is_recording(place) else _filed(place, every)


def is_recording(place: Path) -> bool:
    """True for a bag file, and for a folder that holds one."""
    suffixes = {".mcap", ".bag", ".db3"}
    if place.is_dir():
        return (place / "metadata.yaml").is_file() or any(path.suffix in suffixes for path in place.iterdir())
    return any(suffix in suffixes for suffix in place.suffixes)


def _filed(folder: Path, every: int) -> Iterator[tuple[str, Frame]]:
    for picture in find_pictures(folder)[::every]:
        try:
            yield str(picture.path.relative_to(folder)), Frame(read_picture(picture.path))
        except InputError as error:
            logger.warning("%s; passed over", error)


def _recorded(bag: Path, every: int, topics: tuple[str, ...]) -> Iterator[tuple[str, Frame]]:
    with BagReader(bag) as reader:
        for number, image in enumerate(reader.images(reader.choose(topics))):
            if number % every:
                continue
            try:
                yield image.topic.name, image.decode(image.topic.camera)
            except InputError as error:
                logger.warning("%s at %d ns: %s; passed over", image.topic.name, image.stamp_ns, error)


def find(matcher: Matcher, frames: Iterator[tuple[str, Frame]], words: str, shortlist: int, count: int) -> list[Found]:
    """Rank frames by words.

    Only the shortlist is kept in memory, however long the recording.

    Raises:
        InputError: no frame could be read.
    """
    best: list[tuple[float, Moment, Look]] = []
    for source, frame in frames:
        look = matcher.look_frame(frame)
        cosine = float(matcher.similarities([look], [words]))
        if len(best) < shortlist or cosine > best[-1][0]:
            best.append((cosine, Moment(source, frame.stamp_ns, _thumbnail(frame.image_rgb_u8)), look))
            best.sort(key=lambda entry: -entry[0])
            del best[shortlist:]
    if not best:
        raise InputError("No picture could be read; nothing to search")
    fits = matcher.fits([(look, words) for _, _, look in best])
    found = [Found(moment, fit) for (_, moment, _), fit in zip(best, fits, strict=True)]
    return sorted(found, key=lambda each: -each.fit.probability)[:count]


def sheet(found: list[Found]) -> NDArray[np.uint8]:
    """A contact sheet, best first: uint8[H, W, 3] RGB."""
    width, height = _TILE_WH_PX
    columns = min(_COLUMNS, len(found))
    rows = -(-len(found) // columns)
    pitch_x, pitch_y = width + _GAP_PX, height + _LINE_PX + _GAP_PX
    page = np.full((rows * pitch_y + _GAP_PX, columns * pitch_x + _GAP_PX, 3), _BACKGROUND, np.uint8)
    for place, each in enumerate(found):
        row, column = divmod(place, columns)
        top, left = _GAP_PX + row * pitch_y, _GAP_PX + column * pitch_x
        page[top : top + height, left : left + width] = each.moment.thumbnail
        told = f"{each.fit.probability:.2f}  {Path(each.moment.source).name[-18:]}"
        if each.moment.stamp_ns:
            told = f"{each.fit.probability:.2f}  {each.moment.stamp_ns / 1e9:.3f} s"
        line = (left + 2, top + height + _LINE_PX - 6)
        cv2.putText(page, told, line, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (230, 230, 230), 1, cv2.LINE_AA)
    return page


def _thumbnail(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture within a tile, its aspect ratio kept."""
    width, height = _TILE_WH_PX
    scale = min(width / image.shape[1], height / image.shape[0])
    size = max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1)
    tile = np.full((height, width, 3), _BACKGROUND, np.uint8)
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    tile[top : top + size[1], left : left + size[0]] = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return tile
