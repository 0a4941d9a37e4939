"""A camera made of a recording, a video or a folder of pictures: `vision_llm_player SOURCE`.

Pictures go out in their recorded rhythm, stamped with the time they are sent (or their own stamps).
Compressed pictures go to `<topic>/compressed`, as image_transport has it.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
from rclpy.duration import Duration
from rclpy.exceptions import InvalidTopicNameException
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.time import Time
from rclpy.utilities import remove_ros_args
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image

from vision_llm_ros.errors import InputError, RecordingError, VisionLLMError
from vision_llm_ros.evaluation.bag_types import RAW
from vision_llm_ros.evaluation.bags import BagReader, RecordedImage
from vision_llm_ros.nodes.images import as_bytes, decode_image, to_image
from vision_llm_ros.nodes.process import ros
from vision_llm_ros.runtime.pictures import PICTURE_SUFFIXES, read_picture

VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v")
SETTLE_S = 0.3
ImageMessage: TypeAlias = Image | CompressedImage


@dataclass(frozen=True)
class Shot:
    """One picture to be sent.

    Attributes:
        at_s: seconds after the first one, in the source's own rhythm.
        stamp_ns: its own stamp; 0 if the source has none.
    """

    topic: str
    at_s: float
    stamp_ns: int
    message: ImageMessage


def shots(source: Path, topic: str, wanted: tuple[str, ...], fps: float) -> Iterator[Shot]:
    """Pictures of a recording, a video or a folder, in order.

    Args:
        topic: where they go; "" keeps the names of a recording and is "image" otherwise.
        wanted: topics of a recording to play; empty plays all.
        fps: pictures a second, where the source does not say.
    Raises:
        RecordingError, InputError: nothing there to play.
    """
    if source.is_dir() and (pictures := sorted(p for p in source.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES)):
        return _folder_shots(pictures, topic or "image", fps)
    if source.suffix.lower() in VIDEO_SUFFIXES:
        return _video_shots(source, topic or "image", fps)
    return _recorded_shots(source, topic, wanted)


def _recorded_shots(source: Path, topic: str, wanted: tuple[str, ...]) -> Iterator[Shot]:
    with BagReader(source) as bag:
        chosen = bag.choose(wanted)
        if topic and len(chosen) > 1:
            names = ", ".join(entry.name for entry in chosen)
            raise RecordingError(f"{source} has several image topics: {names}; choose one with --source-topic")
        started_ns = None
        for image in bag.images(chosen):
            started_ns = image.recorded_ns if started_ns is None else started_ns
            name = topic or image.topic.name.removesuffix("/compressed")
            yield Shot(name, (image.recorded_ns - started_ns) / 1e9, image.stamp_ns, _message_of(image))
        for damage in bag.damage:
            print(f"vision_llm_player: {damage}", file=sys.stderr)


def _message_of(image: RecordedImage) -> ImageMessage:
    recorded, is_raw = image.message, image.topic.msgtype == RAW
    message = Image() if is_raw else CompressedImage()
    message.header.frame_id = image.frame_id
    for name in ("height", "width", "encoding", "is_bigendian", "step") if is_raw else ("format",):
        setattr(message, name, getattr(recorded, name))
    message.data = as_bytes(np.ascontiguousarray(recorded.data))
    return message


def _folder_shots(pictures: list[Path], topic: str, fps: float) -> Iterator[Shot]:
    for number, path in enumerate(pictures):
        try:
            message = to_image(read_picture(path))
        except InputError as error:
            print(f"vision_llm_player: {error}; the next one is played", file=sys.stderr)
            continue
        message.header.frame_id = "camera"
        yield Shot(topic, number / fps, 0, message)


def _video_shots(source: Path, topic: str, fps: float) -> Iterator[Shot]:
    video = cv2.VideoCapture(str(source))
    if not video.isOpened():
        raise InputError(f"Cannot open video {source}; is it there and playable by OpenCV?")
    rate = video.get(cv2.CAP_PROP_FPS) or fps
    number = 0
    while True:
        there, image = video.read()
        if not there:
            break
        message = to_image(np.ascontiguousarray(image[..., ::-1]))
        message.header.frame_id = "camera"
        yield Shot(topic, number / rate, 0, message)
        number += 1
    video.release()


class PlayerNode(Node):
    """Sends shots at their time."""

    def __init__(self, stop: threading.Event, options: argparse.Namespace) -> None:
        super().__init__("player")
        self._stop = stop
        self._options = options
        self._publishers_by_topic: dict[str, Publisher] = {}
        self._clock_publisher = self.create_publisher(Clock, "/clock", 1) if options.clock else None
        self.sent = 0

    def play(self, source: Callable[[], Iterator[Shot]]) -> None:
        """Send everything, again and again with `--loop`."""
        while not self._stop.is_set():
            sent_before = self.sent
            self._play_once(source())
            if not self._options.loop or self.sent == sent_before:
                break
        for publisher in self._publishers_by_topic.values():
            publisher.wait_for_all_acked(Duration(seconds=2))

    def _play_once(self, source: Iterator[Shot]) -> None:
        started = None
        for shot in source:
            publisher = self._publisher(shot)
            started = time.monotonic() if started is None else started
            self._stop.wait(max(0.0, started + shot.at_s / self._options.rate - time.monotonic()))
            if self._stop.is_set():
                return
            self._send(publisher, shot)

    def _publisher(self, shot: Shot) -> Publisher:
        """Made with the topic's first picture; then, if asked, the receivers are awaited."""
        message = Image() if self._options.decode else shot.message
        topic = shot.topic if isinstance(message, Image) else f"{self.resolve_topic_name(shot.topic)}/compressed"
        if topic not in self._publishers_by_topic:
            reliable = self._options.reliability == "reliable"
            qos = QoSProfile(
                depth=10, reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
            )
            publisher = self.create_publisher(type(message), topic, qos)
            self._publishers_by_topic[topic] = publisher
            print(f"playing {type(message).__name__} on {publisher.topic_name}", flush=True)
            self._await_subscribers(publisher)
        return self._publishers_by_topic[topic]

    def _await_subscribers(self, publisher: Publisher) -> None:
        wanted, deadline = self._options.wait_for_subscriber, time.monotonic() + self._options.wait_timeout
        while publisher.get_subscription_count() < wanted and not self._stop.wait(0.05):
            if time.monotonic() > deadline:
                there = publisher.get_subscription_count()
                raise InputError(
                    f"{there} of {wanted} subscribers of {publisher.topic_name} came within "
                    f"{self._options.wait_timeout:g} s; is the perception node running in the same ROS domain?"
                )
        if wanted:
            # They know of this publisher a moment later than it knows of them; what is sent before is lost.
            self._stop.wait(SETTLE_S)

    def _send(self, publisher: Publisher, shot: Shot) -> None:
        message = shot.message
        if self._options.decode and isinstance(message, CompressedImage):
            try:
                message = to_image(decode_image(message), header=message.header)
            except InputError as error:
                print(f"vision_llm_player: {error}; left out", file=sys.stderr)
                return
        stamp_ns = shot.stamp_ns if self._options.original_stamps else self.get_clock().now().nanoseconds
        message.header.stamp = Time(nanoseconds=stamp_ns).to_msg()
        if self._clock_publisher is not None:
            self._clock_publisher.publish(Clock(clock=message.header.stamp))
        try:
            publisher.publish(message)
            self.sent += 1
        except rclpy_implementation.RCLError as error:
            print(f"vision_llm_player: a picture could not be sent: {error}", file=sys.stderr)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vision_llm_player", description=(__doc__ or "").split(":")[0])
    parser.add_argument("source", type=Path, help="recording (rosbag2, ROS 1 bag), video or folder of pictures")
    parser.add_argument("--topic", default="", help="topic to send to; default: as recorded, else 'image'")
    parser.add_argument(
        "--source-topic", action="append", default=[], help="topic of the recording to play; repeatable"
    )
    parser.add_argument("--rate", type=_positive, default=1.0, help="speed, 1 is as recorded")
    parser.add_argument("--fps", type=_positive, default=10.0, help="pictures a second of a folder")
    parser.add_argument("--loop", action="store_true", help="start again at the end")
    parser.add_argument("--decode", action="store_true", help="send compressed pictures as raw ones")
    parser.add_argument("--original-stamps", action="store_true", help="keep the recorded stamps")
    parser.add_argument("--clock", action="store_true", help="publish /clock from the recorded stamps, which are kept")
    parser.add_argument("--reliability", choices=("reliable", "best_effort"), default="reliable", help="QoS")
    parser.add_argument(
        "--wait-for-subscriber", type=int, nargs="?", const=1, default=0, metavar="N", help="begin when N have come"
    )
    parser.add_argument("--wait-timeout", type=_positive, default=60.0, help="seconds to wait for them")
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected more than 0, got {text}")
    return value


def main(argv: list[str] | None = None) -> int:
    """Play; exit code 1 with one line of reason when there is nothing to play or nobody came."""
    arguments = sys.argv if argv is None else ["player", *argv]
    options: Any = build_parser().parse_args(remove_ros_args(arguments)[1:])
    options.original_stamps |= options.clock
    with ros(arguments) as stop:
        player = PlayerNode(stop, options)
        try:
            player.play(lambda: shots(options.source, options.topic, tuple(options.source_topic), options.fps))
        except (VisionLLMError, InvalidTopicNameException) as error:
            print(f"vision_llm_player: {error}", file=sys.stderr)
            return 1
        finally:
            print(f"sent {player.sent} pictures", flush=True)
            player.destroy_node()
    return 0 if player.sent else 1


if __name__ == "__main__":
    sys.exit(main())
