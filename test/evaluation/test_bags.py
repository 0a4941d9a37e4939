from __future__ import annotations

import shutil
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest
from rosbags.rosbag1 import Writer as Writer1
from rosbags.typesys import Stores, get_typestore

from vision_llm_ros.errors import InputError, RecordingError
from vision_llm_ros.evaluation.bag_types import COMPRESSED, RAW, header_message, typestore
from vision_llm_ros.evaluation.bag_writer import BagWriter
from vision_llm_ros.evaluation.bags import BagReader, ImageTopic
from vision_llm_ros.resources import message_definitions
from vision_llm_ros.runtime.pixels import encode_compressed

PERIOD_NS = 100_000_000


def picture(number: int, size: tuple[int, int] = (24, 32)) -> np.ndarray:
    image = np.zeros((*size, 3), np.uint8)
    image[..., 0] = number % 256
    return image


def write_bag(path: Path, count: int = 5, size: tuple[int, int] = (24, 32), **options: str) -> Path:
    with BagWriter(path, **options) as writer:
        for number in range(count):
            writer.write_image("/image", number * PERIOD_NS + 7, picture(number, size))
    return path


def storage(path: Path) -> Path:
    return next(file for file in path.iterdir() if file.name != "metadata.yaml")


def numbers(path: Path) -> list[int]:
    with BagReader(path) as bag:
        return [int(item.decode().image_rgb_u8[0, 0, 0]) for item in bag.images(bag.choose())]


@pytest.mark.parametrize("compression", ["none", "chunk", "message", "file"])
def test_mcap_returns_what_was_written(tmp_path: Path, compression: str) -> None:
    assert numbers(write_bag(tmp_path / "bag", compression=compression)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("compression", ["none", "message", "file"])
def test_sqlite_returns_what_was_written(tmp_path: Path, compression: str) -> None:
    assert numbers(write_bag(tmp_path / "bag", storage="sqlite3", compression=compression)) == [0, 1, 2, 3, 4]


def test_lz4_chunks_are_read(tmp_path: Path) -> None:
    from mcap.writer import CompressionType, Writer

    with BagReader(write_bag(tmp_path / "bag")) as bag:
        raw = [(at, data) for _, at, data, _ in bag._messages({"/image": bag.image_topics()[0]})]
    definition = typestore().generate_msgdef(RAW, ros_version=2)[0].encode()
    writer = Writer(str(tmp_path / "lz4.mcap"), compression=CompressionType.LZ4)
    writer.start(profile="ros2")
    channel = writer.register_channel("/image", "cdr", writer.register_schema(RAW, "ros2msg", definition))
    for at, data in raw:
        writer.add_message(channel, at, bytes(data), at)
    writer.finish()
    assert numbers(tmp_path / "lz4.mcap") == [0, 1, 2, 3, 4]


def test_ros1_bag_is_read(tmp_path: Path) -> None:
    store = get_typestore(Stores.ROS1_NOETIC)
    header, time = store.types["std_msgs/msg/Header"], store.types["builtin_interfaces/msg/Time"]
    with Writer1(tmp_path / "old.bag") as writer:
        connection = writer.add_connection("/cam/image_raw", RAW, typestore=store)
        for number in range(3):
            message = store.types[RAW](
                header(number, time(2, number), "cam"), 24, 32, "rgb8", 0, 96, picture(number).reshape(-1)
            )
            writer.write(connection, number, store.serialize_ros1(message, RAW))
    assert numbers(tmp_path / "old.bag") == [0, 1, 2]
    with BagReader(tmp_path / "old.bag") as bag:
        first = next(bag.images(bag.choose()))
    assert (first.stamp_ns, first.frame_id, first.topic.camera) == (2_000_000_000, "cam", "cam")


def test_header_stamp_and_time_of_recording_are_kept_apart(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as writer:
        message = typestore().types[RAW](header_message(123, "optical"), 1, 1, "mono8", 0, 1, np.zeros(1, np.uint8))
        writer.write("/image", RAW, 456, message)
    with BagReader(tmp_path / "bag") as bag:
        item = next(bag.images(bag.choose()))
    assert (item.stamp_ns, item.recorded_ns, item.decode("left").frame_id) == (123, 456, "optical")
    assert item.decode("left").camera == "left"


def test_compressed_picture_decodes_to_rgb(tmp_path: Path) -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 255
    with BagWriter(tmp_path / "bag") as writer:
        writer.write_jpeg("/image/compressed", 0, encode_compressed(red, "png"), kind="png")
    with BagReader(tmp_path / "bag") as bag:
        image = next(bag.images(bag.choose())).decode().image_rgb_u8
    assert tuple(image[8, 8]) == (255, 0, 0)


def test_undecodable_picture_raises_input_error(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as writer:
        writer.write_jpeg("/image/compressed", 0, b"no picture")
    with BagReader(tmp_path / "bag") as bag, pytest.raises(InputError):
        next(bag.images(bag.choose())).decode()


def test_missing_metadata_is_named_and_the_pictures_are_read(tmp_path: Path) -> None:
    (write_bag(tmp_path / "bag") / "metadata.yaml").unlink()
    assert numbers(tmp_path / "bag") == [0, 1, 2, 3, 4]
    with BagReader(tmp_path / "bag") as bag:
        assert "metadata.yaml is missing" in bag.damage[0]


def test_compressed_file_without_metadata_is_read(tmp_path: Path) -> None:
    (write_bag(tmp_path / "bag", compression="file") / "metadata.yaml").unlink()
    assert numbers(tmp_path / "bag") == [0, 1, 2, 3, 4]


def test_compressed_messages_without_metadata_are_read(tmp_path: Path) -> None:
    (write_bag(tmp_path / "bag", compression="message") / "metadata.yaml").unlink()
    assert numbers(tmp_path / "bag") == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("kind", "compression"), [("mcap", "none"), ("mcap", "chunk"), ("sqlite3", "none")])
def test_cut_recording_gives_its_first_part_and_names_the_place(tmp_path: Path, kind: str, compression: str) -> None:
    noise = np.random.default_rng(0)
    with BagWriter(tmp_path / "bag", kind, compression) as writer:
        for number in range(20):
            image = noise.integers(0, 255, (300, 400, 3), np.uint8)
            image[0, 0, 0] = number
            writer.write_image("/image", number * PERIOD_NS, image)
    file = storage(tmp_path / "bag")
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 6 // 10])
    with BagReader(tmp_path / "bag") as bag:
        found = [int(item.decode().image_rgb_u8[0, 0, 0]) for item in bag.images(bag.choose())]
        assert 5 <= len(found) < 20 and found == list(range(len(found)))
        assert any(file.name in text and ("byte" in text or "message" in text) for text in bag.damage)


def test_damage_inside_a_chunk_keeps_the_pictures_before_it(tmp_path: Path) -> None:
    write_bag(tmp_path / "bag", count=60, size=(150, 200), compression="chunk")
    file = storage(tmp_path / "bag")
    data = bytearray(file.read_bytes())
    middle = len(data) // 3
    data[middle : middle + 64] = bytes(64)
    file.write_bytes(data)
    with BagReader(tmp_path / "bag") as bag:
        found = [item.stamp_ns for item in bag.images(bag.choose())]
    assert len(found) < 60 and bag.damage and str(tmp_path / "bag") in bag.damage[0]


def test_cut_compressed_file_keeps_its_first_part(tmp_path: Path) -> None:
    write_bag(tmp_path / "bag", count=60, size=(150, 200), compression="file")
    file = storage(tmp_path / "bag")
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 8 // 10])
    with BagReader(tmp_path / "bag") as bag:
        assert len(list(bag.images(bag.choose()))) < 60
        assert any(file.name in text for text in bag.damage)


def test_cut_ros1_bag_is_named_with_what_to_do(tmp_path: Path) -> None:
    store = get_typestore(Stores.ROS1_NOETIC)
    with Writer1(tmp_path / "old.bag") as writer:
        connection = writer.add_connection("/image", "std_msgs/msg/String", typestore=store)
        text = store.serialize_ros1(store.types["std_msgs/msg/String"]("x" * 5000), "std_msgs/msg/String")
        writer.write(connection, 0, text)
    data = (tmp_path / "old.bag").read_bytes()
    (tmp_path / "old.bag").write_bytes(data[: len(data) // 2])
    with pytest.raises(RecordingError, match=r"old\.bag.*reindex"), BagReader(tmp_path / "old.bag"):
        pass


def test_recording_without_messages_raises(tmp_path: Path) -> None:
    write_bag(tmp_path / "bag", count=0)
    with pytest.raises(RecordingError, match="no messages"), BagReader(tmp_path / "bag"):
        pass


def test_empty_storage_file_raises(tmp_path: Path) -> None:
    storage(write_bag(tmp_path / "bag")).write_bytes(b"")
    with pytest.raises(RecordingError, match="0 bytes"), BagReader(tmp_path / "bag"):
        pass


@pytest.mark.parametrize("name", ["nothing", "nothing.mcap"])
def test_missing_recording_raises(tmp_path: Path, name: str) -> None:
    with pytest.raises(RecordingError, match=name), BagReader(tmp_path / name):
        pass


def test_folder_without_storage_raises(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(RecordingError, match="holds no"), BagReader(tmp_path):
        pass


def test_file_of_garbage_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.mcap").write_bytes(b"garbage " * 100)
    with BagReader(tmp_path / "x.mcap") as bag, pytest.raises(RecordingError, match=r"x\.mcap"):
        bag.image_topics()


def test_no_image_topic_names_the_topics_there_are(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as writer:
        writer.write("/chat", "std_msgs/msg/String", 0, typestore().types["std_msgs/msg/String"]("hi"))
    with BagReader(tmp_path / "bag") as bag, pytest.raises(RecordingError, match=r"no image topic.*/chat"):
        bag.image_topics()


def test_two_types_on_one_topic_raise(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as writer:
        writer.write_image("/image", 0, picture(0))
        writer._connections.pop("/image")
        writer.write_jpeg("/image", 1, encode_compressed(picture(0)))
    with BagReader(tmp_path / "bag") as bag, pytest.raises(RecordingError, match="/image has two types"):
        bag.image_topics()


def test_unknown_topic_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with BagReader(write_bag(tmp_path / "bag")) as bag, pytest.raises(RecordingError, match=r"/imag; it has /image"):
        bag.choose(("/imag",))


def test_raw_topic_is_preferred_to_its_compressed_copy(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as writer:
        writer.write_image("/a/image", 0, picture(0))
        writer.write_jpeg("/a/image/compressed", 0, encode_compressed(picture(0)))
        writer.write_jpeg("/b/image/compressed", 0, encode_compressed(picture(0)))
    with BagReader(tmp_path / "bag") as bag:
        assert [topic.name for topic in bag.choose()] == ["/a/image", "/b/image/compressed"]


@pytest.mark.parametrize(
    ("topic", "camera"),
    [("/image", ""), ("/image/compressed", ""), ("/front/image_raw/compressed", "front"), ("/a/b/image_rect", "a/b")],
)
def test_camera_name_follows_from_the_topic(topic: str, camera: str) -> None:
    assert ImageTopic(topic, COMPRESSED, 1).camera == camera


def test_two_topics_of_one_camera_get_distinct_names(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as writer:
        for name in ("/a/image_raw", "/a/image_rect", "/b/image_raw"):
            writer.write_image(name, 0, picture(0))
    with BagReader(tmp_path / "bag") as bag:
        assert [topic.camera for topic in bag.choose()] == ["/a/image_raw", "/a/image_rect", "b"]


def test_existing_recording_is_not_overwritten(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="exists already"):
        BagWriter(write_bag(tmp_path / "bag"))


def test_every_own_message_can_be_written_and_read_back(tmp_path: Path) -> None:
    store = typestore()
    info = store.types["vision_llm_ros/msg/ResultInfo"](
        "c1", 2, "detect", 1, "nothing", "nano", "0" * 12, [], 12.5, 30.0, "front"
    )
    message = store.types["vision_llm_ros/msg/Detections"](header_message(9, "cam"), info, 640, 480, ["dog"], [])
    with BagWriter(tmp_path / "bag") as writer:
        writer.write("/perception/detections", "vision_llm_ros/msg/Detections", 10, message)
    from rosbags.highlevel import AnyReader

    with AnyReader([tmp_path / "bag"]) as reader:
        connection, _, data = next(iter(reader.messages()))
        back = reader.deserialize(data, connection.msgtype)
    assert (back.info.command_id, back.info.generation, back.classes) == ("c1", 2, ["dog"])
    assert all(name in store.types for name in message_definitions())


def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    short, long = write_bag(tmp_path / "short", 30, (96, 128)), write_bag(tmp_path / "long", 300, (96, 128))

    def peak(path: Path) -> int:
        tracemalloc.start()
        with BagReader(path) as bag:
            for item in bag.images(bag.choose()):
                item.decode()
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(short)
    assert peak(long) < peak(short) + 2_000_000


def test_folder_of_several_files_is_read_in_order_of_time(tmp_path: Path) -> None:
    folder = tmp_path / "split"
    folder.mkdir()
    for place, first in (("b", 0), ("a", 3)):
        with BagWriter(tmp_path / place) as writer:
            for number in range(first, first + 3):
                writer.write_image("/image", number * PERIOD_NS, picture(number))
        shutil.copy(storage(tmp_path / place), folder / f"{place}.mcap")
    assert numbers(folder) == [0, 1, 2, 3, 4, 5]


def test_jpeg_of_opencv_is_read_as_written(tmp_path: Path) -> None:
    grey = np.full((16, 16), 77, np.uint8)
    _, data = cv2.imencode(".jpg", grey)
    with BagWriter(tmp_path / "bag") as writer:
        writer.write_jpeg("/image/compressed", 0, data.tobytes())
    with BagReader(tmp_path / "bag") as bag:
        assert abs(int(next(bag.images(bag.choose())).decode().image_rgb_u8[8, 8, 1]) - 77) <= 2
