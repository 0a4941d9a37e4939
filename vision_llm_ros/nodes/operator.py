"""An operator at the keyboard, as a node: gives commands, listens to say-backs, counts pictures and results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import rclpy
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import String

from vision_llm_ros.msg import Command, CommandStatus, Detections

LATCHED = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class OperatorNode(Node):
    """Talks to one perception node.

    Attributes:
        frames, results: pictures and detection results seen.
        first_frame_s: this node's clock at the first picture; None before.
    """

    def __init__(self, on_status: Callable[[CommandStatus], None], perception: str = "perception") -> None:
        super().__init__("operator")
        self.frames = self.results = 0
        self.first_frame_s: float | None = None
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self)
        self._commands = self.create_publisher(Command, "command", 10)
        self._sentences = self.create_publisher(String, "command_text", 10)
        self._state = self.create_client(GetState, f"{perception}/get_state")
        self._asked: Any = None
        # Kept serialized: only their number matters here.
        self.create_subscription(
            CompressedImage, "image/compressed", self._count_frame, qos_profile_sensor_data, raw=True
        )
        self.create_subscription(Detections, f"{perception}/detections", self._count_result, 10, raw=True)
        self.create_subscription(CommandStatus, f"{perception}/status", on_status, LATCHED)

    def now_s(self) -> float:
        return float(self.get_clock().now().nanoseconds / 1e9)

    def spin(self, seconds: float) -> None:
        """Serve callbacks for a while."""
        end = self.now_s() + seconds
        while rclpy.ok() and (left := end - self.now_s()) > 0:
            self._executor.spin_once(timeout_sec=left)

    def is_active(self) -> bool:
        """Whether the perception node serves; asks without waiting, so call it again and again."""
        if self._asked is None and self._state.service_is_ready():
            self._asked = self._state.call_async(GetState.Request())
        if self._asked is None or not self._asked.done():
            return False
        answer, self._asked = self._asked.result(), None
        return bool(answer.current_state.id == State.PRIMARY_STATE_ACTIVE)

    def hears(self) -> bool:
        """Whether the perception node listens to both ways of commanding."""
        counts: list[int] = [each.get_subscription_count() for each in (self._commands, self._sentences)]
        return min(counts) > 0

    def give(self, text: str, command_id: str = "") -> None:
        """With an id as a Command, without as a plain sentence."""
        if not command_id:
            self._sentences.publish(String(data=text))
            return
        command = Command(id=command_id, text=text)
        command.header.stamp = self.get_clock().now().to_msg()
        self._commands.publish(command)

    def _count_frame(self, data: bytes) -> None:
        self.frames += 1
        if self.first_frame_s is None:
            self.first_frame_s = self.now_s()

    def _count_result(self, data: bytes) -> None:
        self.results += 1
