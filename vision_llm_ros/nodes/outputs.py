"""Everything the perception node publishes about results and commands."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode, LifecyclePublisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import Image

from vision_llm_ros import msg
from vision_llm_ros.interfaces import COMPUTED, Result, Status
from vision_llm_ros.nodes import messages
from vision_llm_ros.nodes.images import to_image
from vision_llm_ros.runtime.draw import draw_result
from vision_llm_ros.runtime.scheduler import CommandEvent
from vision_llm_ros.runtime.worker import Arrival

RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
PICTURE = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
LOG_PERIOD_S = 5.0


@cache
def vision_msgs() -> Any | None:
    """The message module of vision_msgs, or None where it is not installed."""
    try:
        return importlib.import_module("vision_msgs.msg")
    except ImportError:
        return None


class Outputs:
    """The publishers, from configure to cleanup; nothing goes out while the node is not active.

    Args:
        latched: say-backs kept for those who come later.
        on_unsent: called for each message that the middleware refused.
    """

    def __init__(self, node: LifecycleNode, latched: int, on_unsent: Callable[[], None]) -> None:
        self._node = node
        self._on_unsent = on_unsent
        status = QoSProfile(depth=latched, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._publishers: dict[str, LifecyclePublisher] = {}
        for topic, kind, qos in (
            ("detections", msg.Detections, RELIABLE),
            ("masks", msg.Masks, RELIABLE),
            ("caption", msg.Caption, RELIABLE),
            ("restored", msg.RestoredFrame, RELIABLE),
            ("status", msg.CommandStatus, status),
            ("mask_image", Image, PICTURE),
            ("restored/image", Image, PICTURE),
            ("debug_image", Image, PICTURE),
        ):
            self._add(topic, kind, qos)
        if (module := vision_msgs()) is not None:
            self._add("detections_2d", module.Detection2DArray, RELIABLE)
            self._add("label_info", module.LabelInfo, LATCHED)

    def destroy(self) -> None:
        for publisher in self._publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)
        self._publishers.clear()

    def on_event(self, event: CommandEvent) -> None:
        """Say back."""
        self._publish("status", messages.status_message(event, self._node.get_clock().now().to_msg()))

    def on_result(self, result: Result, arrival: Arrival) -> None:
        """Publish a result under the header of its source image."""
        header = arrival.source
        topic = messages.TOPICS[result.perception.task]
        self._publish(topic, messages.result_message(result, header))
        if topic == "detections" and self._wanted("detections_2d"):
            self._publish("detections_2d", messages.detection_2d_array(result, header, vision_msgs()))
        followed = topic != "masks" and bool(result.perception.masks)
        if followed:
            self._publish("masks", messages.masks_message(result, header))
        # A label image has no status: where nothing was computed it would look like an empty scene.
        computed = result.perception.status in COMPUTED
        if (topic == "masks" or followed) and computed and self._wanted("mask_image"):
            self._publish("mask_image", messages.mask_image(result, header))
            if self._wanted("label_info"):
                self._publish("label_info", messages.label_info(result, header, vision_msgs()))
        restored = result.perception.restored
        if restored is not None and self._wanted("restored/image"):
            self._publish("restored/image", to_image(restored.image_rgb_u8, header=header))
        self._log(result)

    def on_frame(self, image_rgb_u8: NDArray[np.uint8], results: tuple[Result, ...], arrival: Arrival) -> None:
        """Draw all results of a frame into one picture, if anybody looks at it."""
        if not self._wanted("debug_image"):
            return
        for result in results:
            image_rgb_u8 = draw_result(image_rgb_u8, result)
        self._publish("debug_image", to_image(image_rgb_u8, header=arrival.source))

    def _add(self, topic: str, kind: Any, qos: QoSProfile) -> None:
        self._publishers[topic] = self._node.create_lifecycle_publisher(
            kind, f"~/{topic}", qos, qos_overriding_options=QoSOverridingOptions.with_default_policies()
        )

    def _wanted(self, topic: str) -> bool:
        publisher = self._publishers.get(topic)
        return publisher is not None and publisher.get_subscription_count() > 0

    def _publish(self, topic: str, message: Any) -> None:
        publisher = self._publishers.get(topic)
        if publisher is None:
            return
        try:
            publisher.publish(message)
        # A reliable publisher refuses under overload; InvalidHandle comes when the node is being taken down.
        except (rclpy_implementation.RCLError, rclpy_implementation.InvalidHandle) as error:
            self._on_unsent()
            self._node.get_logger().warning(
                f"A message on {publisher.topic_name} could not be sent: {error}", throttle_duration_sec=LOG_PERIOD_S
            )

    def _log(self, result: Result) -> None:
        """Failures and refused frames, at most one line of each kind every few seconds."""
        perception = result.perception
        line = f"{perception.task} for {result.command_id!r} on camera {result.camera!r}: {perception.text}"
        if perception.status is Status.ERROR:
            self._node.get_logger().error(line, throttle_duration_sec=LOG_PERIOD_S)
        elif perception.status in (Status.REJECTED, Status.STALE):
            self._node.get_logger().warning(line, throttle_duration_sec=LOG_PERIOD_S)
