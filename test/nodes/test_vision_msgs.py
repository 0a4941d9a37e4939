from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from vision_llm_ros.interfaces import Detection, Mask, Perception, Result, Task, TaskSpec
from vision_llm_ros.nodes import messages

# As published by the package vision_msgs, version 4.
DEFINITIONS = {
    "Point2D": "float64 x\nfloat64 y\n",
    "Pose2D": "vision_msgs/Point2D position\nfloat64 theta\n",
    "BoundingBox2D": "vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y\n",
    "ObjectHypothesis": "string class_id\nfloat64 score\n",
    "ObjectHypothesisWithPose": "vision_msgs/ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose\n",
    "Detection2D": (
        "std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\nvision_msgs/BoundingBox2D bbox\n"
        "string id\n"
    ),
    "Detection2DArray": "std_msgs/Header header\nvision_msgs/Detection2D[] detections\n",
    "VisionClass": "uint16 class_id\nstring class_name\n",
    "LabelInfo": "std_msgs/Header header\nvision_msgs/VisionClass[] class_map\nfloat32 threshold\n",
}


@pytest.fixture(scope="module")
def store() -> Any:
    store = get_typestore(Stores.ROS2_JAZZY)
    known: dict[str, Any] = {}
    for name, text in DEFINITIONS.items():
        known |= get_types_from_msg(text, f"vision_msgs/msg/{name}")
    store.register(known)
    return store


def empty(store: Any, name: str) -> Any:
    """A message whose fields have the defaults that ROS gives them."""
    fields = store.fielddefs[name][1]
    return store.types[name](**{field: default(store, kind) for field, kind in fields})


def default(store: Any, kind: Any) -> Any:
    code, detail = int(kind[0]), kind[1]
    if code == 1:
        return {"string": "", "bool": False}.get(detail[0], 0.0 if "float" in detail[0] else 0)
    if code == 2:
        return empty(store, detail)
    if code == 3:
        return np.zeros(detail[1])
    return []


@pytest.fixture(scope="module")
def vision_msgs(store: Any) -> Any:
    """The message module of vision_msgs, as far as we use it."""

    def maker(name: str) -> Any:
        def make(**values: Any) -> Any:
            message = empty(store, f"vision_msgs/msg/{name}")
            for key, value in values.items():
                assert hasattr(message, key), f"{name} has no field {key}"
                setattr(message, key, value)
            return message

        return make

    return SimpleNamespace(**{name: maker(name) for name in DEFINITIONS})


def result(**kept: Any) -> Result:
    perception = Perception(Task.DETECT, **kept)
    return Result("a", 1, TaskSpec(Task.DETECT, ("dog",)), 5, "cam", "", (64, 48), perception, "nano", "0", 1.0, 1.0)


@pytest.fixture
def header(store: Any) -> Any:
    time = store.types["builtin_interfaces/msg/Time"](3, 7)
    return store.types["std_msgs/msg/Header"](time, "camera")


def through(store: Any, message: Any, name: str) -> Any:
    """What another node reads."""
    kind = f"vision_msgs/msg/{name}"
    return store.deserialize_cdr(store.serialize_cdr(message, kind), kind)


def test_detections_read_back_by_the_published_definitions(store: Any, vision_msgs: Any, header: Any) -> None:
    found = (Detection("dog", 0, 0.75, (10.0, 20.0, 30.0, 44.0), track_id=7), Detection("dog", 0, 0.5, (0, 0, 2, 2)))
    sent = messages.detection_2d_array(result(detections=found), header, vision_msgs)
    got = through(store, sent, "Detection2DArray")
    assert (got.header.frame_id, got.header.stamp.sec, got.header.stamp.nanosec) == ("camera", 3, 7)
    first, second = got.detections
    centre = first.bbox.center.position
    assert (centre.x, centre.y, first.bbox.size_x, first.bbox.size_y) == (20.0, 32.0, 20.0, 24.0)
    hypothesis = first.results[0].hypothesis
    assert (hypothesis.class_id, hypothesis.score) == ("dog", 0.75)
    assert (first.id, second.id) == ("7", "")


def test_nothing_found_is_an_empty_array_with_the_source_header(store: Any, vision_msgs: Any, header: Any) -> None:
    got = through(store, messages.detection_2d_array(result(), header, vision_msgs), "Detection2DArray")
    assert len(got.detections) == 0
    assert got.header.stamp.sec == 3


def test_label_info_names_every_value_of_the_mask_image(store: Any, vision_msgs: Any, header: Any) -> None:
    inside = np.ones((48, 64), np.bool_)
    masks = tuple(Mask(name, 0.9, inside, (0, 0, 64, 48)) for name in ("cup", "spoon"))
    got = through(store, messages.label_info(result(masks=masks), header, vision_msgs), "LabelInfo")
    assert [(entry.class_id, entry.class_name) for entry in got.class_map] == [(1, "cup"), (2, "spoon")]
