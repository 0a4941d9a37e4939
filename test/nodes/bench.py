"""A perception node with a fake engine, spun in a thread, and a client that plays camera, operator and planner."""

from __future__ import annotations

import threading
import time
from array import array
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from fakes import fake_parse
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

from vision_llm_ros.interfaces import Engine
from vision_llm_ros.language.plan import Parse
from vision_llm_ros.msg import Caption, Command, CommandStatus, Detections, Masks, RestoredFrame
from vision_llm_ros.nodes.perception import PerceptionNode
from vision_llm_ros.nodes.process import spin

LATCHED = QoSProfile(depth=40, durability=DurabilityPolicy.TRANSIENT_LOCAL)
OUTPUTS = (
    ("detections", Detections, 10),
    ("masks", Masks, 10),
    ("caption", Caption, 10),
    ("restored", RestoredFrame, 10),
    ("status", CommandStatus, LATCHED),
)


class Bench:
    """Attributes:
    got: messages received so far, by output topic.
    """

    def __init__(
        self, namespace: str, engine: Engine, parameters: dict[str, object], parse: Parse = fake_parse
    ) -> None:
        self.engine = engine
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        self.node = PerceptionNode(engine, parse, namespace=namespace, parameter_overrides=overrides)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=spin, args=(self.node, self._stop.is_set))
        self._thread.start()
        self.client = Node("client", namespace=namespace)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.client)
        self.got: dict[str, list[Any]] = defaultdict(list)
        self._pictures: dict[str, Any] = {}
        for topic, kind, qos in OUTPUTS:
            self.listen(f"perception/{topic}", kind, qos)
        self.listen("/diagnostics", DiagnosticArray, 10)
        self.commands = self.client.create_publisher(Command, "command", 10)
        self.sentences = self.client.create_publisher(String, "command_text", 10)

    def listen(self, topic: str, kind: Any, qos: Any = 10) -> Any:
        name = topic.split("/", 1)[-1]
        return self.client.create_subscription(kind, topic, self.got[name].append, qos)

    def ready(self, camera_topic: str = "image", kind: Any = Image) -> Bench:
        """Wait until the node is active and connected with the client."""
        camera = self.camera(camera_topic, kind)
        self.wait(lambda: min(p.get_subscription_count() for p in (camera, self.commands, self.sentences)) > 0)
        names = [f"{self.node.get_fully_qualified_name()}/{topic}" for topic, _, _ in OUTPUTS]
        self.wait(
            lambda: all(self.node.count_subscribers(name) and self.client.count_publishers(name) for name in names)
        )
        return self

    def camera(self, topic: str = "image", kind: Any = Image) -> Any:
        if topic not in self._pictures:
            self._pictures[topic] = self.client.create_publisher(kind, topic, 1)
        return self._pictures[topic]

    def say(self, text: str, command_id: str = "a", **fields: Any) -> None:
        self.commands.publish(Command(text=text, id=command_id, **fields))

    def show(self, message: Image | CompressedImage | None = None, topic: str = "image") -> Any:
        """Send a picture, stamped now unless it has a stamp."""
        message = message or picture()
        if not message.header.stamp.sec:
            message.header.stamp = self.client.get_clock().now().to_msg()
        self.camera(topic, type(message)).publish(message)
        return message

    def wait(self, reached: Callable[[], Any], timeout_s: float = 8.0, what: str = "") -> None:
        """Serve the client until this is true; fail otherwise."""
        deadline = time.monotonic() + timeout_s
        while not reached():
            assert time.monotonic() < deadline, f"{what or 'nothing'} came; {dict(self.got)}"
            self._executor.spin_once(timeout_sec=0.05)

    def rest(self, seconds: float = 0.3) -> None:
        """Serve the client for a while, to see that nothing comes."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._executor.spin_once(timeout_sec=0.05)

    def states(self, command_id: str = "a") -> list[int]:
        return [status.state for status in self.got["status"] if status.command_id == command_id]

    def accepted(self, command_id: str = "a", count: int = 1) -> None:
        self.wait(lambda: self.states(command_id).count(CommandStatus.ACCEPTED) >= count, what="no say-back")

    def served(self, count: int, topic: str = "detections", frame: Callable[[], Any] | None = None) -> list[Any]:
        """Show pictures until so many results have come."""
        deadline = time.monotonic() + 8.0
        while len(self.got[topic]) < count:
            assert time.monotonic() < deadline, f"{len(self.got[topic])} of {count} results on {topic}"
            self.show(frame() if frame else None)
            self.rest(0.06)
        return self.got[topic]

    def values(self, part: str) -> dict[str, str]:
        """Newest /diagnostics values of a part of this node."""
        for message in reversed(self.got["diagnostics"]):
            for status in message.status:
                if status.name == f"perception: {part}" and status.hardware_id == self.node.get_fully_qualified_name():
                    return {entry.key: entry.value for entry in status.values} | {"message": status.message}
        return {}

    def on_node(self, action: Callable[[], Any]) -> Any:
        """Run something in the node's own thread and give its result."""
        executor = self.node.executor
        assert executor is not None
        task = executor.create_task(action)
        executor.wake()
        self.wait(task.done, 15.0)
        return task.result()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self.node.close()
        self._executor.shutdown()
        self.client.destroy_node()


def picture(level: int = 127, width: int = 16, height: int = 12, **fields: Any) -> Image:
    """A grey rgb8 picture."""
    message = Image(width=width, height=height, encoding="rgb8", step=width * 3, **fields)
    message.data = array("B", bytes([level]) * (width * height * 3))
    message.header.frame_id = "optical"
    return message


__all__ = ["Bench", "picture", "rclpy"]
