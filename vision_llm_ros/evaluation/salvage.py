"""Read what can be read of recordings without an index: cut files, crashed recorders, lost metadata.yaml."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import zstandard
from mcap.records import Channel, Chunk, McapRecord, Message, Schema
from mcap.stream_reader import StreamReader, breakup_chunk

from vision_llm_ros.errors import RecordingError

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
# By row number, not by the time index, which stands at the end of the file and is lost first.
MESSAGES = (
    "SELECT t.name, t.type, m.timestamp, m.data FROM messages m NOT INDEXED "
    "CROSS JOIN topics t ON t.id = m.topic_id ORDER BY m.id"
)


@dataclass(frozen=True)
class RawMessage:
    """One message as it stands in the file."""

    topic: str
    msgtype: str
    recorded_ns: int
    data: bytes


@dataclass
class Salvage:
    """Walks a storage file from its beginning until it ends or breaks; `damage` then says where and why."""

    path: Path
    damage: str = ""
    _types: dict[int, str] = field(default_factory=dict)
    _channels: dict[int, tuple[str, str]] = field(default_factory=dict)

    def messages(self) -> Iterator[RawMessage]:
        """Messages in file order. Never raises for damaged content: it stops and fills `damage`."""
        if self.path.suffix in (".zstd", ".zst"):
            with tempfile.TemporaryDirectory() as folder:
                plain = Path(folder) / self.path.stem
                self._expand(plain)
                yield from self._scan(plain)
        else:
            yield from self._scan(self.path)

    def _scan(self, path: Path) -> Iterator[RawMessage]:
        scan = {".mcap": self._scan_mcap, ".db3": self._scan_sqlite}.get(path.suffix)
        if scan is None:
            raise RecordingError(f"{self.path}: cannot salvage files of kind {path.suffix!r}; mcap and db3 can be")
        yield from scan(path)

    def _expand(self, target: Path) -> None:
        try:
            with self.path.open("rb") as source, target.open("wb") as sink:
                zstandard.ZstdDecompressor().copy_stream(source, sink)
        except zstandard.ZstdError as error:
            self._spoil(f"compressed file is damaged ({error})")

    def _scan_mcap(self, path: Path) -> Iterator[RawMessage]:
        with path.open("rb") as file:
            good = 0
            records = StreamReader(file, emit_chunks=True).records
            while True:
                try:
                    record = next(records)
                    parts = self._parts(record)
                except StopIteration:
                    return
                # The parser of a damaged file can fail in any way; the place and the reason go into the report.
                except Exception as error:
                    reason = str(error) or type(error).__name__
                    unit = "byte" if path == self.path else "decompressed byte"
                    self._spoil(f"cut or damaged after {unit} {good} of {_size(file)} ({reason})")
                    return
                good = file.tell()
                yield from parts

    def _parts(self, record: McapRecord) -> list[RawMessage]:
        if isinstance(record, Chunk):
            if not record.compression and len(record.data) < record.uncompressed_size:
                raise RecordingError(f"chunk has {len(record.data)} of {record.uncompressed_size} bytes")
            return [part for inner in breakup_chunk(record, validate_crc=True) for part in self._parts(inner)]
        if isinstance(record, Schema):
            self._types[record.id] = record.name
        elif isinstance(record, Channel):
            self._channels[record.id] = (record.topic, self._types.get(record.schema_id, ""))
        elif isinstance(record, Message):
            topic, msgtype = self._channels[record.channel_id]
            return [RawMessage(topic, msgtype, record.log_time, record.data)]
        return []

    def _scan_sqlite(self, path: Path) -> Iterator[RawMessage]:
        number = 0
        with tempfile.TemporaryDirectory() as folder:
            try:
                with closing(sqlite3.connect(_whole(path, Path(folder)))) as base:
                    for topic, msgtype, recorded_ns, data in base.execute(MESSAGES):
                        number += 1
                        yield RawMessage(topic, msgtype, recorded_ns, bytes(data))
            except sqlite3.Error as error:
                self._spoil(f"cut or damaged after message {number} ({error})")

    def _spoil(self, reason: str) -> None:
        self.damage = self.damage or f"{self.path}: {reason}"


def storage_files(path: Path) -> list[Path]:
    """The storage files of a recording in order of their names; of a single file, itself.

    Raises:
        RecordingError: nothing there, or an empty file; the message names it.
    """
    if not path.exists():
        raise RecordingError(f"No recording at {path}: expected a rosbag2 folder, a .mcap, .db3 or .bag file")
    kinds = ("*.mcap", "*.db3", "*.mcap.zst*", "*.db3.zst*", "*.bag")
    files = sorted(file for kind in kinds for file in path.glob(kind)) if path.is_dir() else [path]
    if not files:
        raise RecordingError(f"{path} is no recording: it holds no .mcap, .db3 or .bag file")
    for file in files:
        if file.stat().st_size == 0:
            raise RecordingError(f"{file} is empty (0 bytes): the recorder wrote nothing")
    return files


def unpacked(data: bytes) -> bytes:
    """A message that was compressed by itself in plain; CDR never begins like zstd."""
    return zstandard.ZstdDecompressor().decompressobj().decompress(data) if data[:4] == ZSTD_MAGIC else data


def _whole(path: Path, folder: Path) -> Path:
    """A copy filled up with zeros to the size its header promises: SQLite refuses a shorter file altogether."""
    copy = folder / path.name
    shutil.copyfile(path, copy)
    with copy.open("r+b") as file:
        header = file.read(32)
        page_bytes, pages = int.from_bytes(header[16:18], "big"), int.from_bytes(header[28:32], "big")
        file.truncate(max(_size(file), (65536 if page_bytes == 1 else page_bytes) * pages))
    return copy


def _size(file: IO[bytes]) -> int:
    return os.fstat(file.fileno()).st_size
