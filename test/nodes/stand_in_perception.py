"""A perception node without a model, for tests of what is built around it: one box in every compressed picture."""

import contextlib
import sys

import rclpy
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import String

from vision_llm_ros.msg import Command, CommandStatus, Detection, Detections


class StandIn(LifecycleNode):
    """Understands "watch ..." and "stop"; refuses everything else."""

    def __init__(self) -> None:
        super().__init__("perception")
        latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.status = self.create_publisher(CommandStatus, "~/status", latched)
        self.detections = self.create_publisher(Detections, "~/detections", 10)
        self.live = self.text = ""
        self.create_subscription(Command, "command", lambda message: self.hear(message.text, message.id), 10)
        self.create_subscription(String, "command_text", lambda message: self.hear(message.data, "c1"), 10)
        self.create_subscription(CompressedImage, "image/compressed", self.see, qos_profile_sensor_data)

    def on_configure(self, state: object) -> TransitionCallbackReturn:
        return TransitionCallbackReturn.SUCCESS

    def hear(self, text: str, command_id: str) -> None:
        if text.startswith("watch"):
            self.live, self.text = command_id, text
            self.say(command_id, CommandStatus.ACCEPTED, text, "detect", "looking for things")
        elif text == "stop":
            self.say(self.live, CommandStatus.STOPPED, self.text, "detect", "stopped by a command")
            self.say(command_id, CommandStatus.FINISHED, text, "stop", "stopped")
            self.live = ""
        else:
            self.say(command_id, CommandStatus.REFUSED, text, "", "not understood")

    def say(self, command_id: str, state: int, sentence: str, task: str, text: str) -> None:
        message = CommandStatus(command_id=command_id, state=state, command_text=sentence, task=task, text=text)
        message.generation = int(state != CommandStatus.REFUSED)
        self.status.publish(message)

    def see(self, image: CompressedImage) -> None:
        if not self.live:
            return
        message = Detections(header=image.header, image_width=640, image_height=480, classes=["thing"])
        message.info.command_id, message.info.generation, message.info.task = self.live, 1, "detect"
        message.info.model, message.info.latency_ms = "stand-in", 12.0
        box = {"x_min": 100.0, "y_min": 100.0, "x_max": 300.0, "y_max": 300.0}
        message.detections = [Detection(label="thing", score=0.5, **box)]
        self.detections.publish(message)


if __name__ == "__main__":
    rclpy.init(args=sys.argv)
    node = StandIn()
    node.trigger_configure()
    node.trigger_activate()
    with contextlib.suppress(KeyboardInterrupt, rclpy.executors.ExternalShutdownException):
        rclpy.spin(node)
