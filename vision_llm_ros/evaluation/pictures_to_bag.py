"""Make a recording out of a folder of pictures or a video file."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.config import check_ranges, setting
from vision_llm_ros.errors import InputError, RecordingError
from vision_llm_ros.evaluation.bag_writer import BagWriter
from vision_llm_ros.runtime.pictures import PICTURE_SUFFIXES, read_picture
from vision_llm_ros.runtime.pixels import encode_compressed, encode_raw

Named = tuple[str, NDArray[np.uint8]]
INDEX = "frames.csv"


@dataclass(frozen=True)
class BagOptions:
    """How pictures become messages."""

    rate_hz: float = setting(0.0, "frames a second; 0: the video's own, 10 for a folder", low=0.0, high=1000.0)
    topic: str = setting("/image", "topic; /compressed is appended for compressed pictures")
    encoding: str = setting("rgb8", "encoding of raw pictures", choices=("rgb8", "bgr8", "rgba8", "bgra8", "mono8"))
    compressed: str = setting("", "jpeg or png: CompressedImage instead of Image", choices=("", "jpeg", "png"))
    storage: str = setting("mcap", "file format", choices=("mcap", "sqlite3"))
    compression: str = setting("none", "zstd per chunk, message or file", choices=("none", "chunk", "message", "file"))
    frame_id: str = setting("camera", "frame_id of every header")
    start_ns: int = setting(1_700_000_000_000_000_000, "stamp of the first frame, nanoseconds", low=1)
    limit: int = setting(0, "stop after so many frames; 0: all", low=0)

    def __post_init__(self) -> None:
        check_ranges(self)
        if not re.fullmatch(r"/?[A-Za-z_~][\w/]*", self.topic):
            raise InputError(f"Expected a topic name such as /front/image, got {self.topic!r}")


@dataclass
class Source:
    """Pictures one after the other; `skipped` names those that could not be read, with the reason."""

    path: Path
    rate_hz: float
    skipped: list[str] = field(default_factory=list)

    def pictures(self) -> Iterator[Named]:
        """(file name or frame number, uint8[H, W, 3] RGB)."""
        return self._files() if self.path.is_dir() else self._frames()

    def _files(self) -> Iterator[Named]:
        for file in picture_files(self.path):
            try:
                yield file.relative_to(self.path).as_posix(), read_picture(file)
            except InputError as error:
                self.skipped.append(str(error))

    def _frames(self) -> Iterator[Named]:
        video = cv2.VideoCapture(str(self.path))
        number = 0
        try:
            while True:
                there, image = video.read()
                if not there:
                    break
                yield f"{number:06d}", np.ascontiguousarray(image[..., ::-1], dtype=np.uint8)
                number += 1
            promised = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        finally:
            video.release()
        if number < promised:
            self.skipped.append(f"{self.path}: ends or is damaged after frame {number} of {promised}")


def open_source(path: Path, rate_hz: float = 0.0) -> Source:
    """A folder (searched recursively, natural order) or a video file.

    Raises:
        RecordingError: missing, a folder without pictures, or not a video OpenCV can read.
    """
    if path.is_dir():
        if not picture_files(path):
            raise RecordingError(f"{path} holds no pictures ({', '.join(PICTURE_SUFFIXES)})")
        return Source(path, rate_hz or 10.0)
    if not path.is_file():
        raise RecordingError(f"No such folder or video: {path}")
    video = cv2.VideoCapture(str(path))
    readable, own_rate = video.isOpened(), video.get(cv2.CAP_PROP_FPS)
    video.release()
    if not readable:
        raise RecordingError(f"{path} is no video that OpenCV can read; for a single picture name its folder")
    return Source(path, rate_hz or (own_rate if 0 < own_rate < 1000 else 10.0))


def picture_files(folder: Path) -> list[Path]:
    """Picture files below a folder in natural order: 2.png before 10.png."""
    files = (file for file in folder.rglob("*") if file.suffix.lower() in PICTURE_SUFFIXES and file.is_file())
    return sorted(files, key=lambda file: [int(part) if part.isdigit() else part for part in _parts(file)])


def write_bag(source: Source, out: Path, options: BagOptions) -> int:
    """Write every picture of the source; which stamp belongs to which file goes to frames.csv beside it.

    Returns:
        number of frames written.
    Raises:
        RecordingError: nothing could be read, or the recording cannot be written.
    """
    topic = "/" + options.topic.strip("/") + ("/compressed" if options.compressed else "")
    rows: list[tuple[int, str]] = []
    with BagWriter(out, options.storage, options.compression) as writer:
        for number, (name, image) in enumerate(source.pictures()):
            if options.limit and number >= options.limit:
                break
            stamp_ns = options.start_ns + round(number * 1e9 / source.rate_hz)
            _write(writer, topic, stamp_ns, image, options)
            rows.append((stamp_ns, name))
    if not rows:
        raise RecordingError(f"{source.path}: not one picture could be read. {' '.join(source.skipped[:3])}")
    with (out / INDEX).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("stamp_ns", "file_name"), *rows])
    return len(rows)


def file_names(recording: Path) -> dict[int, str]:
    """Stamp in nanoseconds -> file name, of a recording made by `write_bag`; empty for any other."""
    index = (recording if recording.is_dir() else recording.parent) / INDEX
    if not index.is_file():
        return {}
    with index.open(newline="", encoding="utf-8") as file:
        return {int(row["stamp_ns"]): row["file_name"] for row in csv.DictReader(file)}


def _write(writer: BagWriter, topic: str, stamp_ns: int, image: NDArray[np.uint8], options: BagOptions) -> None:
    if options.compressed:
        data = encode_compressed(image, options.compressed)
        writer.write_jpeg(topic, stamp_ns, data, options.frame_id, options.compressed)
        return
    rows = encode_raw(image, options.encoding)
    pixels = rows.reshape(*image.shape[:2], -1)
    writer.write_image(topic, stamp_ns, pixels, options.encoding, options.frame_id)


def _parts(file: Path) -> list[str]:
    return re.split(r"(\d+)", file.as_posix())
