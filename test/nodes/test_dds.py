"""The shipped Fast DDS profile: chosen unless the user chose, and camera frames get through with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

from vision_llm_ros.nodes.dds import VARIABLES, use_shipped_profile
from vision_llm_ros.resources import config_path

FRAMES = 30
SUBSCRIBER = """
import time, rclpy
from rclpy.qos import qos_profile_sensor_data as qos
from sensor_msgs.msg import Image
from vision_llm_ros.nodes.dds import use_shipped_profile
use_shipped_profile()
rclpy.init()
node = rclpy.create_node("receiver")
stamps = []
node.create_subscription(Image, "image", lambda m: stamps.append((m.header.stamp.sec, len(m.data))), qos)
end = time.monotonic() + 20
while time.monotonic() < end and (not stamps or stamps[-1][0] < {frames} - 1):
    rclpy.spin_once(node, timeout_sec=0.1)
print(len(set(stamps)), {{size for _, size in stamps}})
"""
PUBLISHER = """
import time, numpy, rclpy
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
from vision_llm_ros.nodes.dds import use_shipped_profile
from vision_llm_ros.nodes.images import to_image
use_shipped_profile()
rclpy.init()
node = rclpy.create_node("camera")
publisher = node.create_publisher(Image, "image", qos_profile_sensor_data)
end = time.monotonic() + 15
while publisher.get_subscription_count() == 0 and time.monotonic() < end:
    time.sleep(0.05)
time.sleep(0.3)
image = to_image(numpy.zeros((480, 640, 3), numpy.uint8))
for index in range({frames}):
    image.header.stamp.sec = index
    publisher.publish(image)
    time.sleep(0.05)
time.sleep(0.5)
"""


@pytest.mark.ros
def test_every_vga_frame_reaches_another_process_over_sensor_data_qos(ros_environment: dict[str, str]) -> None:
    environment = {name: value for name, value in ros_environment.items() if name not in VARIABLES}
    command = [sys.executable, "-c"]
    with subprocess.Popen(
        [*command, SUBSCRIBER.format(frames=FRAMES)], env=environment, stdout=subprocess.PIPE, text=True
    ) as receiver:
        subprocess.run([*command, PUBLISHER.format(frames=FRAMES)], env=environment, check=True, timeout=40)
        said, _ = receiver.communicate(timeout=30)
    assert said.split(maxsplit=1) == [str(FRAMES), "{921600}\n"]


def test_shipped_profile_is_set_for_old_and_new_fast_dds() -> None:
    environment: dict[str, str] = {}
    assert use_shipped_profile(environment) == str(config_path("fastdds.xml"))
    assert set(environment) == set(VARIABLES) and set(environment.values()) == {str(config_path("fastdds.xml"))}


@pytest.mark.parametrize("name", VARIABLES)
def test_a_profile_chosen_by_the_user_is_kept(name: str, tmp_path: Path) -> None:
    chosen = str(tmp_path / "mine.xml")
    environment = {name: chosen}
    assert use_shipped_profile(environment) == chosen
    assert set(environment.values()) == {chosen}
