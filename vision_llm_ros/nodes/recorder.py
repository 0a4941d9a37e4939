"""Write topics of a running system to a rosbag2 (mcap): `vision_llm_recorder OUT --topics image perception/detections`.

For machines without rosbag2; messages are written as they came, byte by byte.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.utilities import remove_ros_args

from vision_llm_ros.errors import RecordingError, VisionLLMError
from vision_llm_ros.evaluation.bag_writer import BagWriter
from vision_llm_ros.nodes.listener import message_class
from vision_llm_ros.nodes.process import ros, spin

LOOK_PERIOD_S = 0.1


class RecorderNode(Node):
    """Subscribes to each topic as soon as it has a publisher.

    Attributes:
        counts: messages written, by topic.
        missing: topics nobody publishes yet.
    """

    def __init__(self, writer: BagWriter, topics: list[str]) -> None:
        super().__init__("recorder")
        self._writer = writer
        self.counts: Counter[str] = Counter()
        self.missing = {self.resolve_topic_name(topic) for topic in topics}
        self.create_timer(LOOK_PERIOD_S, self.look, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self.look()

    def look(self) -> None:
        """Subscribe to what has appeared."""
        if not self.missing:
            return
        for name, types in self.get_topic_names_and_types():
            if name in self.missing and types and self.count_publishers(name):
                self.missing.discard(name)
                self._subscribe(name, types[0])

    def _subscribe(self, name: str, msgtype: str) -> None:
        try:
            kind = message_class(msgtype)
        except (ModuleNotFoundError, AttributeError, ValueError) as error:
            self.get_logger().error(f"Cannot record {name}: type {msgtype} is not installed ({error})")
            return
        self.create_subscription(kind, name, partial(self._take, name, msgtype), self._qos(name), raw=True)
        print(f"subscribed to {name}", flush=True)

    def _qos(self, name: str) -> QoSProfile:
        """As strict as every publisher of the topic allows: all messages, and the latched ones."""
        offers = [info.qos_profile for info in self.get_publishers_info_by_topic(name)]
        reliable = all(offer.reliability == ReliabilityPolicy.RELIABLE for offer in offers)
        latched = all(offer.durability == DurabilityPolicy.TRANSIENT_LOCAL for offer in offers)
        return QoSProfile(
            depth=100,
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
        )

    def _take(self, name: str, msgtype: str, data: bytes) -> None:
        now_ns = self.get_clock().now().nanoseconds
        try:
            self._writer.write_cdr(name, msgtype, now_ns, data)
        except RecordingError as error:
            self.get_logger().error(str(error), throttle_duration_sec=10.0)
            return
        self.counts[name] += 1


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vision_llm_recorder", description=(__doc__ or "").split(":")[0])
    parser.add_argument("out", type=Path, help="folder to make")
    parser.add_argument("--topics", nargs="+", required=True, help="topics to record; they may appear later")
    parser.add_argument("--seconds", type=float, default=0.0, help="end after so long; 0: at SIGINT or SIGTERM")
    parser.add_argument("--storage", choices=("mcap", "sqlite3"), default="mcap", help="file format")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Record until told to end; exit code 1 with one line of reason when nothing was recorded."""
    arguments = sys.argv if argv is None else ["recorder", *argv]
    options = build_parser().parse_args(remove_ros_args(arguments)[1:])
    try:
        with ros(arguments) as stop, BagWriter(options.out, options.storage) as writer:
            recorder = RecorderNode(writer, options.topics)
            print(f"recording to {options.out}", flush=True)
            deadline = time.monotonic() + (options.seconds or float("inf"))
            spin(recorder, lambda: stop.is_set() or time.monotonic() > deadline)
            counts, missing = recorder.counts, recorder.missing
            recorder.destroy_node()
    except VisionLLMError as error:
        print(f"vision_llm_recorder: {error}", file=sys.stderr)
        return 1
    for name, count in sorted(counts.items()):
        print(f"{name}: {count} messages")
    for name in sorted(missing):
        print(f"vision_llm_recorder: nobody published {name}", file=sys.stderr)
    return 0 if counts else 1


if __name__ == "__main__":
    sys.exit(main())
