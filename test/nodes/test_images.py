"""Image messages to RGB and back."""

from __future__ import annotations

import sys
from array import array
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sensor_msgs")

from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from vision_llm_ros.errors import InputError
from vision_llm_ros.nodes import images


@pytest.fixture
def rgb() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (12, 16, 3)).astype(np.uint8)


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "rgba8", "bgra8", "8UC3"])
def test_an_image_message_returns_what_was_put_in(rgb: np.ndarray, encoding: str) -> None:
    header = Header(frame_id="camera_optical")
    header.stamp.sec, header.stamp.nanosec = 12, 345
    message = images.to_image(rgb, encoding, header)
    assert (message.header.frame_id, message.header.stamp.nanosec) == ("camera_optical", 345)
    assert message.step * message.height == len(message.data)
    assert np.array_equal(images.decode_image(message), rgb)


def test_a_compressed_message_returns_what_was_put_in(rgb: np.ndarray) -> None:
    message = images.to_compressed(rgb, "png", Header(frame_id="camera"))
    assert message.header.frame_id == "camera"
    assert np.array_equal(images.decode_image(message), rgb)


def test_message_data_is_a_byte_array_not_a_list(rgb: np.ndarray) -> None:
    assert isinstance(images.to_image(rgb).data, array)
    assert isinstance(images.to_compressed(rgb).data, array)


def test_an_empty_message_is_refused_by_its_encoding() -> None:
    with pytest.raises(InputError, match="''"):
        images.decode_image(Image())
    with pytest.raises(InputError, match="no data"):
        images.decode_image(CompressedImage(format="jpeg"))


def test_max_pixels_holds_for_both_kinds(rgb: np.ndarray) -> None:
    for message in (images.to_image(rgb), images.to_compressed(rgb)):
        with pytest.raises(InputError, match="16x12"):
            images.decode_image(message, max_pixels=100)


@pytest.fixture
def fake_cv_bridge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cv_bridge module to be filled by the test; every cache is emptied around it."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    clear_caches()
    yield tmp_path / "cv_bridge.py"
    clear_caches()
    sys.modules.pop("cv_bridge", None)


def clear_caches() -> None:
    images.cv_bridge_state.cache_clear()
    images._bridge.cache_clear()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise ImportError('built for numpy 1')", "built for numpy 1"),
        ("import os; os.kill(os.getpid(), 11)", "exit code -11"),
        ("class CvBridge:\n def imgmsg_to_cv2(self, m, e):\n  raise ValueError('wrong buffer')", "wrong buffer"),
    ],
)
def test_a_broken_cv_bridge_is_named_and_ours_serves(
    fake_cv_bridge: Path, rgb: np.ndarray, source: str, said: str
) -> None:
    fake_cv_bridge.write_text(source)
    assert images.cv_bridge_state().startswith("broken") and said in images.cv_bridge_state()
    assert np.array_equal(images.decode_image(images.to_image(rgb, "bgr8")), rgb)


WORKING = """
import numpy as np
class CvBridge:
    def imgmsg_to_cv2(self, m, encoding):
        if m.width == 16:
            raise RuntimeError("wrong size")
        rows = np.frombuffer(m.data, np.uint8).reshape(m.height, m.step)[:, : m.width * 3]
        if m.encoding == "bgr8":
            return rows.reshape(m.height, m.width, 3)[..., ::-1].copy()
        return np.zeros((m.height, m.width, 3), np.uint8) + 77
"""


def test_a_working_cv_bridge_is_used_and_its_refusals_are_ours_to_answer(fake_cv_bridge: Path, rgb: np.ndarray) -> None:
    fake_cv_bridge.write_text(WORKING)
    assert images.cv_bridge_state() == "works"
    narrow = np.ascontiguousarray(rgb[:, :8])
    assert (images.decode_image(images.to_image(narrow, "rgb8")) == 77).all()
    assert np.array_equal(images.decode_image(images.to_image(rgb, "rgb8")), rgb)


def test_depth_never_goes_through_cv_bridge(fake_cv_bridge: Path) -> None:
    fake_cv_bridge.write_text(WORKING)
    depth = Image(height=1, width=2, encoding="16UC1", step=4, data=array("B", [1, 0, 2, 0]))
    assert images.decode_image(depth)[0, :, 0].tolist() == [1, 255]
