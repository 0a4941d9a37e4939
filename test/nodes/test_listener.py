from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image

from vision_llm_ros.nodes.listener import header_stamp_ns


def test_stamp_is_read_from_the_serialized_header() -> None:
    message = Image()
    message.header.stamp.sec, message.header.stamp.nanosec = 12, 345
    assert header_stamp_ns(serialize_message(message)) == 12_000_000_345


def test_short_message_has_no_stamp() -> None:
    assert header_stamp_ns(b"\x00\x01\x00\x00") is None


@pytest.mark.ros
def test_listen_measures_a_running_publisher(tmp_path: Path, ros_environment: dict[str, str]) -> None:
    out = tmp_path / "r.json"
    command = [sys.executable, "-m", "vision_llm_ros.cli", "listen", "--seconds", "6", "--out", str(out)]
    publisher = subprocess.Popen([sys.executable, "-c", PUBLISHER], env=ros_environment)
    try:
        done = subprocess.run(command, env=ros_environment, capture_output=True, text=True, timeout=60, check=False)
    finally:
        publisher.terminate()
        publisher.wait(10)
    assert done.returncode == 0, done.stderr
    topic = json.loads(out.read_text())["topics"]["/front/image"]
    assert 15 < topic["rate_hz"] < 25 and topic["age_ms"]["p50"] < 500


@pytest.mark.ros
def test_listen_says_when_nothing_arrived(ros_environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "vision_llm_ros.cli", "listen", "--seconds", "1"]
    done = subprocess.run(command, env=ros_environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "Nothing arrived" in done.stderr


PUBLISHER = """
import rclpy
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node("camera")
publisher = node.create_publisher(Image, "/front/image", qos_profile_sensor_data)
def publish():
    message = Image(height=1, width=1, encoding="mono8", step=1, data=b"0")
    message.header.stamp = node.get_clock().now().to_msg()
    publisher.publish(message)
node.create_timer(0.05, publish)
rclpy.spin(node)
"""
