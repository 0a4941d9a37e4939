"""Listen to a running system: when the messages of its topics were stamped and when they arrived.

Messages are taken serialized and only their header stamp is read, so listening costs little beside the transport.
"""

from __future__ import annotations

import importlib
import struct
import time
from functools import partial
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message

from vision_llm_ros.evaluation.traffic import TopicRecord
from vision_llm_ros.nodes.dds import use_shipped_profile

IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
RESULT_TYPES = tuple(f"vision_llm_ros/msg/{name}" for name in ("Detections", "Masks", "Caption", "RestoredFrame"))
DIAGNOSTICS = "diagnostic_msgs/msg/DiagnosticArray"
DISCOVERY_PERIOD_S = 0.5


class ListenerNode(Node):
    """Subscribes to named topics, or to every picture and result topic there is, and keeps times.

    Attributes:
        records: by topic name.
        diagnostics: newest values of every /diagnostics entry, by its name.
    """

    def __init__(self, topics: tuple[str, ...] = (), **options: Any) -> None:
        super().__init__("listener", **options)
        self.records: dict[str, TopicRecord] = {}
        self.diagnostics: dict[str, dict[str, str]] = {}
        self._wanted = {self.resolve_topic_name(topic) for topic in topics}
        self._listening: list[Any] = []
        # Best effort hears reliable publishers as well; the depth covers a pause of this process.
        self._qos = QoSProfile(depth=200, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._timer = self.create_timer(DISCOVERY_PERIOD_S, self.discover)
        self.discover()

    def seen(self) -> list[str]:
        """Topics in the graph, with their types."""
        return [f"{name} ({', '.join(types)})" for name, types in self.get_topic_names_and_types()]

    def discover(self) -> None:
        """Subscribe to what has appeared since the last look."""
        for name, types in self.get_topic_names_and_types():
            if name in self.records or not types:
                continue
            chosen = name in self._wanted or (not self._wanted and types[0] in IMAGE_TYPES + RESULT_TYPES)
            if chosen or types[0] == DIAGNOSTICS:
                self._subscribe(name, types[0])

    def _subscribe(self, name: str, msgtype: str) -> None:
        try:
            kind = message_class(msgtype)
        except (ModuleNotFoundError, AttributeError, ValueError) as error:
            self.get_logger().warning(f"Cannot listen to {name}: {msgtype} is not installed ({error})", once=True)
            return
        self.records[name] = TopicRecord(msgtype)
        first = next(iter(kind.get_fields_and_field_types().values()), "")
        take = partial(self._take, name, first == "std_msgs/Header", msgtype == DIAGNOSTICS)
        self._listening.append(self.create_subscription(kind, name, take, self._qos, raw=True))

    def _take(self, name: str, has_header: bool, is_diagnostics: bool, data: bytes) -> None:
        received_ns = self.get_clock().now().nanoseconds
        stamp_ns = header_stamp_ns(data) if has_header else None
        self.records[name].add(stamp_ns, received_ns, len(data))
        if is_diagnostics:
            for status in deserialize_message(data, DiagnosticArray).status:
                self.diagnostics[status.name] = {entry.key: entry.value for entry in status.values}


def message_class(msgtype: str) -> Any:
    """The generated class of e.g. `sensor_msgs/msg/Image`; the ROS wheels have no rosidl_runtime_py."""
    package, kind, name = msgtype.split("/")
    return getattr(importlib.import_module(f"{package}.{kind}"), name)


def header_stamp_ns(data: bytes) -> int | None:
    """Stamp of a serialized message that begins with a std_msgs/Header; None if it is too short."""
    if len(data) < 12:
        return None
    # The second byte of the four of encapsulation says little (1) or big (0) endian.
    seconds, nanoseconds = struct.unpack_from("<iI" if data[1] & 1 else ">iI", data, 4)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)


def listen(seconds: float, topics: tuple[str, ...] = ()) -> tuple[dict[str, TopicRecord], dict[str, Any], list[str]]:
    """Listen for `seconds`.

    Returns:
        records by topic, newest diagnostics, every topic seen in the graph.
    """
    use_shipped_profile()
    rclpy.init()
    node = ListenerNode(topics)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            executor.spin_once(timeout_sec=left)
        seen = node.seen()
    except ExternalShutdownException:
        seen = []
    finally:
        executor.shutdown()
        records, diagnostics = node.records, node.diagnostics
        node.destroy_node()
        rclpy.try_shutdown()
    return records, diagnostics, seen
