from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from vision_llm_ros.config import VideoConfig
from vision_llm_ros.interfaces import Detection, Frame, Mask, Perception, Prompt, PromptKind, Status, Task, TaskSpec
from vision_llm_ros.runtime.memory import MAX_CAMERAS, FrameMemory
from vision_llm_ros.runtime.regions import marked
from vision_llm_ros.runtime.video import Video

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
CARS = TaskSpec(Task.TRACK, ("car",))
ONE_CAR = replace(CARS, max_objects=1)
ANYONE = TaskSpec(Task.RECALL, ("person",), "did anyone pass?")


@dataclass
class PaintedEyes:
    """Sees one object per colour: a block of grey level 100 * k is object number k; its looks are that number."""

    labels: tuple[str, ...] = ("car", "person")
    asked: list[TaskSpec] = field(default_factory=list)
    segments: bool = False

    def detect(self, frame: Frame, spec: TaskSpec) -> tuple[Detection, ...]:
        self.asked.append(spec)
        levels = [level for level in (100, 200) if (frame.image_rgb_u8[..., 0] == level).any()]
        return tuple(Detection(spec.classes[0], 0, 0.5 + level / 500, self.box(frame, level)) for level in levels)

    def embed(self, frame: Frame, boxes_xyxy_px: NDArray[np.float64]) -> NDArray[np.float32]:
        centres = (boxes_xyxy_px[:, :2] + boxes_xyxy_px[:, 2:]) / 2
        values = [frame.image_rgb_u8[int(y), int(x), 0] for x, y in centres]
        return np.eye(2, dtype=np.float32)[[int(value) // 100 - 1 for value in values]]

    def ground(self, frame: Frame, spec: TaskSpec) -> tuple[Detection, ...]:
        """Tells the two apart by name."""
        level = 100 if spec.phrase == "first car" else 200
        shown = (frame.image_rgb_u8[..., 0] == level).any()
        return (Detection(spec.phrase, 0, 0.5, self.box(frame, level)),) if shown else ()

    def segment(self, frame: Frame, spec: TaskSpec) -> tuple[Mask, ...]:
        if not self.segments:
            return ()
        return (Mask("", 0.7, frame.image_rgb_u8[..., 0] == 100, self.box(frame, 100)),)

    @staticmethod
    def box(frame: Frame, level: int) -> tuple[float, float, float, float]:
        rows, columns = np.nonzero(frame.image_rgb_u8[..., 0] == level)
        return float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1)


def frame(at_s: float, first: int | None = None, second: int | None = None, camera: str = "") -> Frame:
    """A wide frame with the two objects at these columns."""
    image = np.zeros((60, 200, 3), np.uint8)
    for level, left, top in ((100, first, 5), (200, second, 35)):
        if left is not None:
            image[top : top + 20, left : left + 20] = level
    return Frame(image, START + round(at_s * SECOND), camera=camera)


def ids(perception: Perception) -> list[int]:
    return sorted(item.track_id for item in perception.detections)


def test_ids_stay_with_their_objects_through_an_occlusion() -> None:
    video, eyes = Video(VideoConfig()), PaintedEyes()
    seen = [video.track(frame(n / 10, 10 + n, 100 - n), CARS, eyes) for n in range(5)]
    hidden = [video.track(frame(0.5 + n / 10, None, 90), CARS, eyes) for n in range(20)]
    back = video.track(frame(2.6, 40, 90), CARS, eyes)
    assert [ids(answer) for answer in seen] == [[1, 2]] * 5
    assert [ids(answer) for answer in hidden] == [[2]] * 20 or [ids(answer) for answer in hidden] == [[1]] * 20
    assert ids(back) == [1, 2]


def test_boxes_of_what_leaves_the_picture_stay_inside() -> None:
    video, eyes = Video(VideoConfig()), PaintedEyes()
    (*_, last) = [video.track(frame(n / 10, 110 + 20 * n), CARS, eyes).detections for n in range(5)]
    assert last[0].box_xyxy_px[2] == 200 and 180 < last[0].box_xyxy_px[0] < 195


def test_a_lost_target_is_stale_and_says_since_when() -> None:
    video, eyes = Video(VideoConfig()), PaintedEyes()
    assert video.track(frame(0.0), ONE_CAR, eyes).status is Status.NOTHING_FOUND
    video.track(frame(0.1, 10), ONE_CAR, eyes)
    assert video.track(frame(0.2, 10), ONE_CAR, eyes).status is Status.OK
    lost = video.track(frame(1.7), ONE_CAR, eyes)
    assert lost.status is Status.STALE
    assert lost.text == "lost car 1 for 1.5 s, last seen at (20, 15)"


def test_a_forgotten_target_is_nothing_found() -> None:
    video, eyes = Video(VideoConfig(track_forget_s=5.0)), PaintedEyes()
    video.track(frame(0.0, 10), CARS, eyes)
    assert video.track(frame(6.0), CARS, eyes).status is Status.NOTHING_FOUND


def test_one_followed_target_is_never_swapped_for_another() -> None:
    video, eyes = Video(VideoConfig()), PaintedEyes()
    first = video.track(frame(0.0, 10), ONE_CAR, eyes)
    both = video.track(frame(0.1, 12, 80), ONE_CAR, eyes)
    other = [video.track(frame(0.2 + n / 10, None, 80), ONE_CAR, eyes) for n in range(3)]
    assert ids(first) == ids(both) == [1]
    assert [answer.status for answer in other] == [Status.STALE] * 3


@pytest.mark.parametrize(("name", "left"), [("first car", 12.0), ("second car", 80.0)])
def test_a_described_target_is_the_one_its_whole_phrase_means(name: str, left: float) -> None:
    video, eyes = Video(VideoConfig()), PaintedEyes()
    answer = video.track(frame(0.0, 12, 80), replace(ONE_CAR, classes=(name,)), eyes)
    assert [found.box_xyxy_px[0] for found in answer.detections] == [left]


def test_a_track_asks_for_all_objects_of_its_region() -> None:
    eyes = PaintedEyes()
    Video(VideoConfig()).track(frame(0.0, 10), replace(ONE_CAR, region=(0.0, 0.0, 0.5, 1.0)), eyes)
    assert eyes.asked == [TaskSpec(Task.DETECT, ("car",), region=(0.0, 0.0, 0.5, 1.0))]


def test_what_was_pointed_at_is_followed_wherever_it_goes() -> None:
    video, eyes = Video(VideoConfig()), PaintedEyes()
    spec = marked(CARS, Prompt(PromptKind.POINT, ((0.45, 0.75),)))
    answers = [video.track(frame(n / 10, 10, 80 + 5 * n), spec, eyes) for n in range(12)]
    assert len({tuple(ids(answer)) for answer in answers}) == 1
    assert [answer.detections[0].box_xyxy_px[0] for answer in answers] == [80.0 + 5 * n for n in range(12)]


def test_nothing_where_somebody_points_is_nothing_found() -> None:
    spec = marked(CARS, Prompt(PromptKind.POINT, ((0.95, 0.95),)))
    assert Video(VideoConfig()).track(frame(0, 10, 80), spec, PaintedEyes()).status is Status.NOTHING_FOUND


def test_cameras_and_commands_have_tracks_of_their_own() -> None:
    video, eyes = Video(VideoConfig()), PaintedEyes()
    answers = [video.track(frame(0.0, 10, camera=name), CARS, eyes) for name in ("front", "rear")]
    answers.append(video.track(frame(0.0, 10, camera="front"), replace(CARS, classes=("person",)), eyes))
    assert [ids(answer) for answer in answers] == [[1], [2], [3]]


def test_a_recording_that_starts_again_starts_new_tracks() -> None:
    video, eyes = Video(VideoConfig()), PaintedEyes()
    video.track(frame(5.0, 10), CARS, eyes)
    assert ids(video.track(frame(0.0, 10), CARS, eyes)) == [2]


def test_frames_without_time_are_followed_all_the_same() -> None:
    video, eyes = Video(VideoConfig()), PaintedEyes()
    answers = [video.track(replace(frame(0, 10 + n), stamp_ns=0), CARS, eyes) for n in range(3)]
    assert [ids(answer) for answer in answers] == [[1]] * 3


def test_a_single_target_carries_its_mask_and_keeps_it_when_the_segmenter_misses() -> None:
    video, eyes = Video(VideoConfig()), PaintedEyes(segments=True)
    (mask,) = video.track(frame(0.0, 10), ONE_CAR, eyes).masks
    assert (mask.track_id, mask.label, mask.inside.sum()) == (1, "car", 400)
    eyes.segments = False
    (moved,) = video.track(frame(0.1, 25), ONE_CAR, eyes).masks
    assert np.array_equal(moved.inside, frame(0.1, 25).image_rgb_u8[..., 0] == 100)
    assert video.track(frame(0.2, 25), CARS, eyes).masks == ()


def past(video: Video, eyes: PaintedEyes, spec: TaskSpec = ANYONE) -> Perception:
    """Somebody passes between 2 s and 5 s; the question is asked at 9.5 s."""
    for n in range(20):
        video.memory.note(frame(n / 2, 5 * n if 4 <= n <= 10 else None))
    return video.answer(frame(9.5), spec, eyes)


def test_a_question_about_the_past_is_answered_with_first_and_last_time() -> None:
    answer = past(Video(VideoConfig()), PaintedEyes())
    assert answer.status is Status.OK
    assert answer.caption is not None
    assert answer.caption.text == "yes: 1 person in the last 9.5 s, first seen 7.5 s ago, last seen 4.5 s ago"
    assert answer.caption.seen_ns == (START + 2 * SECOND, START + 5 * SECOND)


def test_a_shorter_period_leaves_out_what_was_before() -> None:
    answer = past(Video(VideoConfig()), PaintedEyes(), replace(ANYONE, past_s=4.0))
    assert answer.caption is not None
    assert answer.caption.text == "no: no person in the last 4.0 s"
    assert answer.caption.score == 1.0


def test_asking_again_looks_at_no_frame_twice() -> None:
    video, eyes = Video(VideoConfig()), PaintedEyes()
    past(video, eyes)
    looked = len(eyes.asked)
    video.answer(frame(9.6), ANYONE, eyes)
    assert len(eyes.asked) == looked


def test_a_memory_shorter_than_the_question_says_so() -> None:
    video, eyes = Video(VideoConfig()), PaintedEyes()
    video.memory.note(frame(0.0, 10))
    answer = video.answer(frame(1.0, 10), ANYONE, eyes)
    assert answer.status is Status.DEGRADED
    assert answer.text == "only 1.0 s of the 10 s asked about are remembered"


def test_frames_without_time_cannot_be_asked_about() -> None:
    answer = Video(VideoConfig()).answer(replace(frame(0, 10), stamp_ns=0), ANYONE, PaintedEyes())
    assert answer.status is Status.REJECTED
    assert "carry no time" in answer.text


@pytest.mark.parametrize(("seconds", "kept"), [(4.0, 8), (100.0, 20)])
def test_memory_is_bounded_in_time_and_number(seconds: float, kept: int) -> None:
    memory = FrameMemory(VideoConfig())
    for n in range(int(seconds * 30)):
        memory.note(frame(n / 30))
    assert kept - 1 <= len(list(memory.last(frame(seconds)))) <= kept


def test_memory_keeps_small_copies_of_a_bounded_number_of_cameras() -> None:
    memory = FrameMemory(VideoConfig(memory_size_px=100))
    for n in range(MAX_CAMERAS + 1):
        memory.note(frame(0, camera=str(n)))
    assert list(memory.last(frame(0, camera="0"))) == []
    (kept,) = memory.last(frame(0, camera="1"))
    assert kept.frame.size_wh_px == (100, 30)
