"""Camera and command subscriptions of the perception node, from activate to deactivate."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

from vision_llm_ros import msg
from vision_llm_ros.config import NodeConfig
from vision_llm_ros.errors import CommandError, InputError
from vision_llm_ros.interfaces import Command
from vision_llm_ros.nodes.images import decode_image
from vision_llm_ros.nodes.messages import stamp_ns_of, to_command
from vision_llm_ros.runtime.scheduler import refusal
from vision_llm_ros.runtime.worker import Arrival, Worker

CAMERA = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
COMMANDS = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)


def image_topic(node: Node, camera: str, transport: str) -> str:
    """Topic of a camera: `image` or `<camera>/image`, remapped, then `/compressed` as image_transport appends it."""
    base = node.resolve_topic_name(f"{camera}/image" if camera else "image")
    return f"{base}/compressed" if transport == "compressed" else str(base)


def camera_names(config: NodeConfig) -> tuple[str, ...]:
    """Names of the cameras; "" for the only one."""
    return config.cameras or ("",)


def arrival_of(message: Image | CompressedImage, camera: str, max_pixels: int) -> Arrival:
    """Wrap an image message without looking at its pixels; the worker decodes those that are used."""
    header = message.header
    return Arrival(camera, stamp_ns_of(header), header.frame_id, partial(decode_image, message, max_pixels), header)


class Inputs:
    """Hands frames and commands to the worker; the callbacks take microseconds, a command's parsing milliseconds.

    Args:
        config: the newest configuration, asked for at each frame.
    """

    def __init__(self, node: Node, worker: Worker, config: Callable[[], NodeConfig]) -> None:
        self._node = node
        self._worker = worker
        self._config = config
        transport = config().image_transport
        kind = CompressedImage if transport == "compressed" else Image
        self._subscriptions = [
            self._subscribe(kind, image_topic(node, camera, transport), partial(self._on_image, camera), CAMERA)
            for camera in camera_names(config())
        ]
        self._subscriptions += [
            self._subscribe(msg.Command, "command", self._on_command, COMMANDS),
            self._subscribe(String, "command_text", self._on_text, COMMANDS),
        ]

    def destroy(self) -> None:
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def _subscribe(self, kind: Any, topic: str, callback: Callable[[Any], None], qos: QoSProfile) -> Any:
        options = QoSOverridingOptions.with_default_policies()
        return self._node.create_subscription(kind, topic, callback, qos, qos_overriding_options=options)

    def _on_image(self, camera: str, message: Image | CompressedImage) -> None:
        self._worker.offer(arrival_of(message, camera, self._config().max_pixels))

    def _on_text(self, message: String) -> None:
        self._worker.submit(Command(message.data))

    def _on_command(self, message: msg.Command) -> None:
        try:
            command = to_command(message)
        except InputError as error:
            bad = CommandError(f"{error}; correct the message and send it again")
            self._worker.refuse(refusal(Command(message.text, message.id), bad))
            return
        self._worker.submit(command)
