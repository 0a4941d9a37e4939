from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from vision_llm_ros.cli import main
from vision_llm_ros.evaluation.bags import BagReader, RecordedImage
from vision_llm_ros.evaluation.pictures_to_bag import file_names


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures 1, 2 and 10, red = 10 * number."""
    (tmp_path / "pictures").mkdir()
    for number in (1, 2, 10):
        image = np.zeros((24, 32, 3), np.uint8)
        image[..., 2] = 10 * number
        cv2.imwrite(str(tmp_path / "pictures" / f"{number}.png"), image)
    return tmp_path / "pictures"


def images(path: Path) -> list[RecordedImage]:
    with BagReader(path) as bag:
        return list(bag.images(bag.choose()))


@pytest.mark.parametrize("extra", [[], ["--encoding", "bgr8"], ["--compressed", "png"], ["--storage", "sqlite3"]])
def test_pictures_are_recorded_in_natural_order_with_their_colours(
    folder: Path, tmp_path: Path, extra: list[str]
) -> None:
    assert main(["make-bag", str(folder), str(tmp_path / "bag"), "--rate", "4", *extra]) == 0
    found = images(tmp_path / "bag")
    assert [int(item.decode().image_rgb_u8[0, 0, 0]) for item in found] == [10, 20, 100]
    assert found[1].stamp_ns - found[0].stamp_ns == 250_000_000


def test_file_names_are_kept_by_stamp(folder: Path, tmp_path: Path) -> None:
    main(["make-bag", str(folder), str(tmp_path / "bag")])
    names = file_names(tmp_path / "bag")
    assert [names[item.stamp_ns] for item in images(tmp_path / "bag")] == ["1.png", "2.png", "10.png"]


def test_compressed_topic_gets_the_usual_suffix(folder: Path, tmp_path: Path) -> None:
    main(["make-bag", str(folder), str(tmp_path / "bag"), "--compressed", "--topic", "front/image"])
    assert images(tmp_path / "bag")[0].topic.name == "/front/image/compressed"


def test_video_is_recorded_at_its_own_rate(tmp_path: Path) -> None:
    video = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 5, (32, 24))
    for number in range(6):
        video.write(np.full((24, 32, 3), 40 * number, np.uint8))
    video.release()
    assert main(["make-bag", str(tmp_path / "v.avi"), str(tmp_path / "bag")]) == 0
    found = images(tmp_path / "bag")
    assert len(found) == 6 and found[1].stamp_ns - found[0].stamp_ns == 200_000_000
    assert abs(int(found[3].decode().image_rgb_u8[12, 16, 1]) - 120) < 6


def test_unreadable_picture_is_named_and_skipped(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "3.png").write_bytes(b"broken")
    assert main(["make-bag", str(folder), str(tmp_path / "bag")]) == 0
    assert "3.png" in capsys.readouterr().err
    assert len(images(tmp_path / "bag")) == 3


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["missing", "out"], "missing"),
        ([".", "out", "--encoding", "rgb9"], "rgb9"),
        ([".", "out", "--topic", "bad topic"], "bad topic"),
        ([".", "out", "--rate", "-1"], "-1"),
        ([".", "out", "--compressed", "gif"], "gif"),
        (["empty", "out"], "no pictures"),
        (["notes.txt", "out"], "notes.txt"),
        ([".", "empty"], "exists already"),
    ],
)
def test_bad_arguments_are_named(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    reason: str,
) -> None:
    monkeypatch.chdir(folder)
    (folder / "empty").mkdir()
    (folder / "notes.txt").write_text("no video")
    assert main(["make-bag", *arguments]) == 1
    assert reason in capsys.readouterr().err
