from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from vision_llm_ros.evaluation.bag_writer import BagWriter
from vision_llm_ros.evaluation.bags import BagReader
from vision_llm_ros.runtime.pictures import write_picture

pytestmark = pytest.mark.ros
HERE = Path(__file__).parent
SECOND_NS = 1_000_000_000
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(ros_environment: dict[str, str]) -> Iterator[Start]:
    """Start a Python process of this package; it is killed at the end if it still runs."""
    running: list[subprocess.Popen[str]] = []
    path = f"{HERE.parent}:{ros_environment['PYTHONPATH']}"

    def launch(*command: str) -> subprocess.Popen[str]:
        running.append(
            subprocess.Popen(
                [sys.executable, *command],
                env={**ros_environment, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
        return running[-1]

    yield launch
    for process in running:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    """Ten raw pictures, 20 ms apart, recorded long ago."""
    with BagWriter(tmp_path / "bag") as writer:
        for number in range(10):
            image = np.full((12, 16, 3), 10 * number + 1, np.uint8)
            writer.write_image("/front/image", SECOND_NS + number * 20_000_000, image, frame_id="front_optical")
    return tmp_path / "bag"


def until(process: subprocess.Popen[str], text: str) -> str:
    """Read the process's output up to a line with this text."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return "".join(lines)
    raise AssertionError(f"{text!r} did not come:\n{''.join(lines)}")


def record(start: Start, out: Path, topic: str, *player: str) -> tuple[str, str]:
    """Record a topic while the player plays; return what both said."""
    recorder = start("-m", "vision_llm_ros.nodes.recorder", str(out), "--topics", topic)
    until(recorder, "recording to")
    playing = start("-m", "vision_llm_ros.nodes.player", *player, "--wait-for-subscriber")
    said = playing.communicate(timeout=30)[0]
    assert playing.returncode == 0, said
    recorder.send_signal(signal.SIGINT)
    return said, recorder.communicate(timeout=20)[0]


def test_played_recording_is_recorded_whole_under_new_stamps(start: Start, bag: Path, tmp_path: Path) -> None:
    said, counted = record(start, tmp_path / "out", "image", str(bag), "--topic", "image")
    assert "sent 10 pictures" in said and "/image: 10 messages" in counted
    with BagReader(tmp_path / "out") as again:
        images = list(again.images(again.choose()))
    assert [int(image.decode().image_rgb_u8[0, 0, 0]) for image in images] == [10 * n + 1 for n in range(10)]
    assert {image.frame_id for image in images} == {"front_optical"}
    stamps = np.array([image.stamp_ns for image in images])
    assert stamps.min() > 1000 * SECOND_NS
    assert np.median(np.diff(stamps)) == pytest.approx(20e6, rel=0.5)


def test_original_stamps_and_names_are_kept_when_asked(start: Start, bag: Path, tmp_path: Path) -> None:
    record(start, tmp_path / "out", "/front/image", str(bag), "--original-stamps", "--rate", "10")
    with BagReader(tmp_path / "out") as again:
        stamps = [image.stamp_ns for image in again.images(again.choose())]
    assert stamps == [SECOND_NS + number * 20_000_000 for number in range(10)]


def test_folder_of_pictures_plays_and_damaged_ones_are_passed_over(start: Start, tmp_path: Path) -> None:
    for number in range(3):
        write_picture(tmp_path / "in" / f"{number}.png", np.full((8, 8, 3), 50 * number, np.uint8))
    (tmp_path / "in" / "1.png").write_bytes(b"no picture")
    said, counted = record(start, tmp_path / "out", "image", str(tmp_path / "in"), "--fps", "50")
    assert "1.png" in said and "sent 2 pictures" in said and "2 messages" in counted


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["/no/such/bag"], "/no/such/bag"),
        (["{bag}", "--source-topic", "/rear"], "/rear"),
        (["{bag}", "--rate", "0"], "0"),
    ],
)
def test_player_without_anything_to_play_says_why(start: Start, bag: Path, arguments: list[str], named: str) -> None:
    player = start("-m", "vision_llm_ros.nodes.player", *(entry.format(bag=bag) for entry in arguments))
    said = player.communicate(timeout=20)[0]
    assert player.returncode != 0 and named in said and "Traceback" not in said


def test_player_does_not_wait_for_ever(start: Start, bag: Path) -> None:
    player = start("-m", "vision_llm_ros.nodes.player", str(bag), "--wait-for-subscriber", "--wait-timeout", "0.2")
    said = player.communicate(timeout=20)[0]
    assert player.returncode == 1 and "0 of 1 subscribers" in said


def test_recorder_does_not_overwrite(start: Start, tmp_path: Path) -> None:
    recorder = start("-m", "vision_llm_ros.nodes.recorder", str(tmp_path), "--topics", "image")
    said = recorder.communicate(timeout=20)[0]
    assert recorder.returncode == 1 and "exists already" in said and "Traceback" not in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_perception_process_ends_in_good_order_on_a_signal(start: Start, number: signal.Signals) -> None:
    process = start(str(HERE / "fake_perception.py"), "--ros-args", "-p", "model:=base")
    assert "base" in until(process, "Configured in")
    process.send_signal(number)
    said = process.communicate(timeout=20)[0]
    assert process.returncode == 0 and "Traceback" not in said, said


def test_quality_of_service_can_be_overridden(start: Start) -> None:
    settings = ("-p", "qos_overrides./image.subscription.reliability:=reliable")
    until(start(str(HERE / "fake_perception.py"), "--ros-args", *settings), "Configured in")
    inspector = start("-c", INSPECTOR)
    assert inspector.communicate(timeout=20)[0].split() == ["RELIABLE"]


def test_perception_process_with_a_bad_parameter_says_which(start: Start) -> None:
    process = start(str(HERE / "fake_perception.py"), "--ros-args", "-p", "max_live_commands:=900")
    said = process.communicate(timeout=20)[0]
    assert process.returncode == 1 and "max_live_commands" in said and "Traceback" not in said


def test_results_follow_a_recording_with_its_own_clock(start: Start, bag: Path, tmp_path: Path) -> None:
    """Old stamps, simulated time: frames are young, and results carry the recorded stamps."""
    settings = ("-p", "use_sim_time:=true", "-p", "default_rate_hz:=1000.0")
    perception = start(str(HERE / "fake_perception.py"), "--ros-args", *settings, "-r", "image:=/front/image")
    until(perception, "Configured in")
    topics = ("perception/detections", "perception/status")
    recorder = start("-m", "vision_llm_ros.nodes.recorder", str(tmp_path / "out"), "--topics", *topics)
    for _ in topics:
        until(recorder, "subscribed to /perception/")
    operator = start("-c", OPERATOR)
    assert operator.wait(timeout=20) == 0
    player = start("-m", "vision_llm_ros.nodes.player", str(bag), "--clock", "--rate", "0.2", "--wait-for-subscriber")
    assert "sent 10" in player.communicate(timeout=30)[0]
    recorder.send_signal(signal.SIGINT)
    said = recorder.communicate(timeout=20)[0]
    with BagReader(tmp_path / "out") as again:
        connections = [entry for entry in again._reader.connections if entry.topic == "/perception/detections"]
        assert connections, said
        results = [again._deserialize(data, entry.msgtype) for entry, _, data in again._reader.messages(connections)]
    assert len(results) >= 5  # a busy machine may lose some, as the newest frame wins
    assert {result.info.status for result in results} == {0}
    assert {result.header.stamp.sec for result in results} == {1}
    assert max(result.info.frame_age_ms for result in results) < 100


INSPECTOR = """
import rclpy, time
rclpy.init()
node = rclpy.create_node("inspector")
while not (found := node.get_subscriptions_info_by_topic("/image")):
    time.sleep(0.02)
print(found[0].qos_profile.reliability.name)
"""

OPERATOR = """
import rclpy, time
from rclpy.qos import QoSProfile, DurabilityPolicy
from std_msgs.msg import String
from vision_llm_ros.msg import CommandStatus
rclpy.init()
node = rclpy.create_node("operator")
said = []
node.create_subscription(
    CommandStatus, "perception/status", said.append, QoSProfile(depth=9, durability=DurabilityPolicy.TRANSIENT_LOCAL)
)
publisher = node.create_publisher(String, "command_text", 10)
while not publisher.get_subscription_count():
    time.sleep(0.02)
publisher.publish(String(data="watch dog"))
while not said:
    rclpy.spin_once(node, timeout_sec=0.1)
raise SystemExit(said[0].state)
"""
