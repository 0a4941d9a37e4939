"""ROS types for recordings, without ROS: the standard ones, ours, and Foxglove's image annotations."""

from __future__ import annotations

from functools import cache
from typing import Any

from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from vision_llm_ros.resources import message_definitions

RAW = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
IMAGE_TYPES = (RAW, COMPRESSED)
ANNOTATIONS = "foxglove_msgs/msg/ImageAnnotations"

# The published Foxglove schema, reduced to its fields; viewers know it by these names.
FOXGLOVE = {
    "foxglove_msgs/msg/Point2": "float64 x\nfloat64 y\n",
    "foxglove_msgs/msg/Color": "float64 r\nfloat64 g\nfloat64 b\nfloat64 a\n",
    "foxglove_msgs/msg/CircleAnnotation": (
        "builtin_interfaces/Time timestamp\nfoxglove_msgs/Point2 position\nfloat64 diameter\nfloat64 thickness\n"
        "foxglove_msgs/Color fill_color\nfoxglove_msgs/Color outline_color\n"
    ),
    "foxglove_msgs/msg/PointsAnnotation": (
        "uint8 UNKNOWN=0\nuint8 POINTS=1\nuint8 LINE_LOOP=2\nuint8 LINE_STRIP=3\nuint8 LINE_LIST=4\n"
        "builtin_interfaces/Time timestamp\nuint8 type\nfoxglove_msgs/Point2[] points\n"
        "foxglove_msgs/Color outline_color\nfoxglove_msgs/Color[] outline_colors\nfoxglove_msgs/Color fill_color\n"
        "float64 thickness\n"
    ),
    "foxglove_msgs/msg/TextAnnotation": (
        "builtin_interfaces/Time timestamp\nfoxglove_msgs/Point2 position\nstring text\nfloat64 font_size\n"
        "foxglove_msgs/Color text_color\nfoxglove_msgs/Color background_color\n"
    ),
    ANNOTATIONS: (
        "foxglove_msgs/CircleAnnotation[] circles\nfoxglove_msgs/PointsAnnotation[] points\n"
        "foxglove_msgs/TextAnnotation[] texts\n"
    ),
}


@cache
def typestore() -> Any:
    """Every type a recording of this package can hold, by ROS 2 Jazzy's definitions.

    Returns:
        A `rosbags` typestore; `.types[name]` is the message class, `.serialize_cdr(message, name)` its bytes,
        equal to those of rclpy.serialization.
    """
    store = get_typestore(Stores.ROS2_JAZZY)
    known: dict[str, Any] = {}
    for name, text in {**message_definitions(), **FOXGLOVE}.items():
        known.update(get_types_from_msg(text, name))
    store.register(known)
    return store


def stamp_of(message: Any) -> int:
    """Nanoseconds of a message's header stamp."""
    stamp = message.header.stamp
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def time_message(stamp_ns: int) -> Any:
    """builtin_interfaces/Time of nanoseconds."""
    return typestore().types["builtin_interfaces/msg/Time"](*divmod(stamp_ns, 1_000_000_000))


def header_message(stamp_ns: int, frame_id: str) -> Any:
    """std_msgs/Header."""
    return typestore().types["std_msgs/msg/Header"](time_message(stamp_ns), frame_id)
