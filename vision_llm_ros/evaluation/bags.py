"""Read the pictures of recordings: rosbag2 (mcap, sqlite3, compressed) and ROS 1 bags, without ROS.

One picture is in memory at a time, whatever the length of the recording.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from rosbags.highlevel import AnyReader

from vision_llm_ros.errors import RecordingError
from vision_llm_ros.evaluation.bag_types import IMAGE_TYPES, RAW, stamp_of, typestore
from vision_llm_ros.evaluation.salvage import Salvage, storage_files, unpacked
from vision_llm_ros.interfaces import Frame
from vision_llm_ros.runtime.pixels import decode_compressed, decode_raw


@dataclass(frozen=True)
class ImageTopic:
    """A topic with pictures. `count` is -1 when the recording has no index; `alias` overrules the camera's name."""

    name: str
    msgtype: str
    count: int
    alias: str = ""

    @property
    def camera(self) -> str:
        """Name of the camera: `/front/image_raw/compressed` -> `front`, `/image` -> ``."""
        if self.alias:
            return self.alias
        parts = [part for part in self.name.split("/") if part]
        while parts and (parts[-1] == "compressed" or parts[-1].startswith("image")):
            parts.pop()
        return "/".join(parts)


@dataclass(frozen=True)
class RecordedImage:
    """A picture of a recording, not decoded yet.

    Attributes:
        stamp_ns: of its header, nanoseconds.
        recorded_ns: when the recorder received it, nanoseconds.
        message: the ROS message as `rosbags` made it.
    """

    topic: ImageTopic
    stamp_ns: int
    recorded_ns: int
    frame_id: str
    message: Any

    def decode(self, camera: str = "") -> Frame:
        """Decode into a frame.

        Raises:
            InputError: the picture is damaged or of an unknown encoding.
        """
        data = self.message.data
        if self.topic.msgtype == RAW:
            message = self.message
            image = decode_raw(
                data, message.height, message.width, message.encoding, message.step, bool(message.is_bigendian)
            )
        else:
            image = decode_compressed(data, self.message.format)
        return Frame(np.ascontiguousarray(image), self.stamp_ns, self.frame_id, camera)


@dataclass
class BagReader:
    """A recording opened for reading its pictures; use it in a `with` statement.

    Attributes:
        damage: what could not be read and where, one sentence each; filled while reading.
        skipped: messages that did not decode as their type, counted by topic.
    """

    path: Path
    damage: list[str] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)
    _reader: Any = None
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> BagReader:
        """Open by the index; without one fall back to salvage.

        Raises:
            RecordingError: missing, empty, of unknown kind, or without any message.
        """
        files = storage_files(self.path)
        targets = [self.path] if (self.path / "metadata.yaml").exists() else files
        if self.path.is_dir() and targets is files:
            self.damage.append(f"{self.path / 'metadata.yaml'} is missing: read by the index of each file")
        try:
            reader = AnyReader(targets, default_typestore=typestore())
            reader.open()
        # Damage shows as errors of zstd, lz4, sqlite, yaml or the parser itself.
        except Exception as error:
            if any(file.suffix == ".bag" for file in files):
                raise RecordingError(f"{self.path}: {_sentence(error)}; try `rosbag reindex` on it") from error
            self.damage.append(f"{self.path}: {_sentence(error)}; read from the beginning without its index")
            return self
        self._reader = reader
        self._stack.callback(reader.close)
        if reader.message_count == 0:
            self._stack.close()
            raise RecordingError(f"{self.path} has no messages: nothing was recorded")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def image_topics(self) -> list[ImageTopic]:
        """Topics with pictures, by name.

        Raises:
            RecordingError: none, or one topic with two image types; the topics there are, are named.
        """
        types, counts = self._topics()
        images = {name: kinds & set(IMAGE_TYPES) for name, kinds in types.items() if kinds & set(IMAGE_TYPES)}
        if not types:
            raise RecordingError(f"{self.path} has no messages that can be read. {' '.join(self.damage)}".strip())
        if not images:
            there = ", ".join(f"{name} ({'/'.join(sorted(kinds))})" for name, kinds in sorted(types.items()))
            raise RecordingError(f"{self.path} has no image topic; it has {there}")
        for name in images:
            if len(types[name]) > 1:
                raise RecordingError(f"{self.path}: topic {name} has two types, {' and '.join(sorted(types[name]))}")
        return [ImageTopic(name, next(iter(images[name])), counts.get(name, -1)) for name in sorted(images)]

    def choose(self, topics: tuple[str, ...] = ()) -> list[ImageTopic]:
        """The named topics, or all; a raw topic is preferred to its own compressed and depth copies.

        Raises:
            RecordingError: a named topic is not there; those there are, are named.
        """
        there = {topic.name: topic for topic in self.image_topics()}
        for name in topics:
            if name not in there:
                raise RecordingError(f"{self.path} has no image topic {name}; it has {', '.join(there)}")
        if topics:
            return _distinct([there[name] for name in topics])
        return _distinct([topic for name, topic in there.items() if "/".join(name.split("/")[:-1]) not in there])

    def images(self, topics: list[ImageTopic]) -> Iterator[RecordedImage]:
        """Pictures of these topics in the order of recording; what cannot be read goes to `damage`."""
        known = {topic.name: topic for topic in topics}
        for topic, recorded_ns, data, decode in self._messages(known):
            try:
                message = decode(data)
            # A parser given damaged bytes can fail in any way; one bad message does not end the replay.
            except Exception:
                self.skipped[topic] = self.skipped.get(topic, 0) + 1
                continue
            yield RecordedImage(known[topic], stamp_of(message), recorded_ns, message.header.frame_id, message)

    def span_ns(self) -> int:
        """Nanoseconds between first and last message; 0 when the recording has no index."""
        return 0 if self._reader is None else int(self._reader.duration)

    def _topics(self) -> tuple[dict[str, set[str]], dict[str, int]]:
        if self._reader is None:
            types: dict[str, set[str]] = {}
            for salvage in self._salvages():
                for message in salvage.messages():
                    types.setdefault(message.topic, set()).add(message.msgtype)
                self._note(salvage)
            return types, {}
        types = {}
        counts: dict[str, int] = {}
        for connection in self._reader.connections:
            types.setdefault(connection.topic, set()).add(connection.msgtype)
            counts[connection.topic] = counts.get(connection.topic, 0) + connection.msgcount
        return types, counts

    def _messages(self, topics: dict[str, ImageTopic]) -> Iterator[tuple[str, int, bytes, Any]]:
        if self._reader is None:
            yield from self._salvaged(topics)
            return
        wanted = [connection for connection in self._reader.connections if connection.topic in topics]
        number, at_ns = 0, 0
        try:
            for connection, at_ns, data in self._reader.messages(wanted):
                number += 1
                yield connection.topic, at_ns, unpacked(data), partial(self._deserialize, msgtype=connection.msgtype)
        except Exception as error:
            self.damage.append(
                f"{self.path}: broken after picture {number}, recorded at {at_ns} ns ({_sentence(error)})"
            )

    def _deserialize(self, data: bytes, msgtype: str) -> Any:
        return self._reader.deserialize(data, msgtype)

    def _salvaged(self, topics: dict[str, ImageTopic]) -> Iterator[tuple[str, int, bytes, Any]]:
        for salvage in self._salvages():
            for message in salvage.messages():
                if message.topic in topics:
                    decode = partial(typestore().deserialize_cdr, typename=message.msgtype)
                    yield message.topic, message.recorded_ns, unpacked(message.data), decode
            self._note(salvage)

    def _salvages(self) -> list[Salvage]:
        return [Salvage(file) for file in storage_files(self.path)]

    def _note(self, salvage: Salvage) -> None:
        if salvage.damage and salvage.damage not in self.damage:
            self.damage.append(salvage.damage)


def _distinct(topics: list[ImageTopic]) -> list[ImageTopic]:
    """Two topics of one camera, e.g. raw and rectified, go by their full names."""
    names = [topic.camera for topic in topics]
    return [replace(topic, alias=topic.name) if names.count(topic.camera) > 1 else topic for topic in topics]


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
