"""Write recordings (rosbag2) without ROS."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer, WriterError

from vision_llm_ros.errors import RecordingError
from vision_llm_ros.evaluation.bag_types import COMPRESSED, RAW, header_message, typestore

COMPRESSION = {
    "none": CompressionMode.NONE,
    "chunk": CompressionMode.STORAGE,
    "message": CompressionMode.MESSAGE,
    "file": CompressionMode.FILE,
}


class BagWriter:
    """A rosbag2 folder being written; connections are opened with a topic's first message.

    Args:
        path: folder to make; it must not exist.
        storage: "mcap" or "sqlite3".
        compression: zstd per "chunk" (mcap only), "message" or "file", or "none".
    Raises:
        RecordingError: the folder exists or cannot be made.
    """

    def __init__(self, path: Path, storage: str = "mcap", compression: str = "none") -> None:
        if path.exists():
            raise RecordingError(f"{path} exists already; remove it or name another folder")
        if storage == "sqlite3" and compression == "chunk":
            raise RecordingError("Chunk compression is a feature of mcap; use storage mcap or compression message")
        self.path = path
        self._writer = Writer(path, version=9, storage_plugin=StoragePlugin[storage.upper()])
        self._writer.set_compression(COMPRESSION[compression], CompressionFormat.ZSTD)
        self._connections: dict[str, Any] = {}

    def __enter__(self) -> BagWriter:
        try:
            self._writer.open()
        except (OSError, WriterError) as error:
            raise RecordingError(f"Cannot write a recording to {self.path}: {error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Closed in any case: an interrupted recording keeps what was written, index included.
        self._writer.close()

    def write_cdr(self, topic: str, msgtype: str, stamp_ns: int, data: bytes | memoryview) -> None:
        """Append a serialized message, e.g. `rclpy.serialization.serialize_message(message)`.

        Args:
            msgtype: full ROS name, e.g. `sensor_msgs/msg/Image`.
            stamp_ns: time of recording, nanoseconds.
        """
        if topic not in self._connections:
            if msgtype not in typestore().types:
                raise RecordingError(f"Cannot write topic {topic}: type {msgtype} is not known")
            self._connections[topic] = self._writer.add_connection(topic, msgtype, typestore=typestore())
        self._writer.write(self._connections[topic], max(0, stamp_ns), data)

    def write(self, topic: str, msgtype: str, stamp_ns: int, message: Any) -> None:
        """Append a message made from the classes of `typestore().types`."""
        self.write_cdr(topic, msgtype, stamp_ns, typestore().serialize_cdr(message, msgtype))

    def write_jpeg(self, topic: str, stamp_ns: int, data: bytes, frame_id: str = "camera", kind: str = "jpeg") -> None:
        """Append an encoded picture as CompressedImage; `kind` is its format string."""
        pixels = np.frombuffer(data, np.uint8)
        message = typestore().types[COMPRESSED](header_message(stamp_ns, frame_id), kind, pixels)
        self.write(topic, COMPRESSED, stamp_ns, message)

    def write_image(
        self, topic: str, stamp_ns: int, image: NDArray[np.uint8], encoding: str = "rgb8", frame_id: str = "camera"
    ) -> None:
        """Append uint8[H, W, C] or uint8[H, W] as a raw Image; the channels are those of `encoding`."""
        height, width = image.shape[:2]
        data = np.ascontiguousarray(image).reshape(-1)
        step = data.size // height
        header = header_message(stamp_ns, frame_id)
        self.write(topic, RAW, stamp_ns, typestore().types[RAW](header, height, width, encoding, 0, step, data))
