from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rosbags.highlevel import AnyReader

from vision_llm_ros.cli import main
from vision_llm_ros.errors import CommandError
from vision_llm_ros.evaluation import fleet
from vision_llm_ros.evaluation.bag_writer import BagWriter
from vision_llm_ros.evaluation.bags import BagReader
from vision_llm_ros.evaluation.commands_file import TimedCommand
from vision_llm_ros.evaluation.exam import ACCURACY, THRESHOLDS, Exam, ExamOptions, examine
from vision_llm_ros.evaluation.replay import Replay, Tally
from vision_llm_ros.interfaces import (
    Box,
    Command,
    CommandState,
    Detection,
    Frame,
    Mode,
    Perception,
    Result,
    Status,
    Task,
    TaskSpec,
)
from vision_llm_ros.runtime.scheduler import CommandEvent
from vision_llm_ros.runtime.slots import Drop

MS = 1_000_000
START_NS = 1_700_000_000 * 1000 * MS
BOX: Box = (4.0, 4.0, 20.0, 20.0)


class Engine:
    """Finds a dog in every red picture; each call costs `cost_s` on a clock of its own."""

    name, weights_hash, device, dtype = "fake", "0" * 12, "cpu", "float32"
    tasks = frozenset({Task.DETECT})

    def __init__(self, cost_s: float = 0.0) -> None:
        self.cost_s = cost_s
        self.now_s = 0.0
        self.seen: list[int] = []
        self.during: Callable[[], None] = lambda: None

    def timer(self) -> float:
        return self.now_s

    def warm_up(self) -> None: ...

    def perceive(self, frame: Frame, specs: tuple[TaskSpec, ...]) -> tuple[Perception, ...]:
        self.now_s += self.cost_s
        self.seen.append(frame.stamp_ns)
        red = int(frame.image_rgb_u8[0, 0, 0])
        if red == 13:
            raise RuntimeError("out of memory")
        if not red:
            return tuple(Perception(spec.task, Status.NOTHING_FOUND) for spec in specs)
        return tuple(
            Perception(spec.task, detections=(Detection(spec.classes[0], 0, 0.9, BOX),), stage_ms={"all": 1.0})
            for spec in specs
        )


class Kept:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self.results: list[tuple[float, Result]] = []
        self.events: list[tuple[float, int, CommandEvent]] = []

    def result(self, result: Result, at_s: float) -> None:
        self.results.append((at_s, result))

    def frame(self, image_rgb_u8: np.ndarray, results: tuple[Result, ...], at_s: float) -> None: ...

    def event(self, event: CommandEvent, line: int, at_s: float) -> None:
        self.events.append((at_s, line, event))


def parse(text: str) -> TaskSpec:
    if text == "stop":
        return TaskSpec(Task.STOP, mode=Mode.STOP)
    verb, _, what = text.partition(" ")
    if verb not in ("find", "watch"):
        raise CommandError(f"not understood: {text!r}", "find dog")
    return TaskSpec(Task.DETECT, (what,), mode=Mode.CONTINUOUS if verb == "watch" else Mode.ONCE)


def say(*commands: tuple[float, str], **fields: object) -> list[TimedCommand]:
    return [TimedCommand(at_s, Command(text, **fields), line) for line, (at_s, text) in enumerate(commands, 1)]


def write_bag(
    path: Path,
    count: int = 10,
    period_ms: int = 100,
    topics: tuple[str, ...] = ("/image",),
    size: tuple[int, int] = (24, 32),
) -> Path:
    with BagWriter(path) as writer:
        for number in range(count):
            for topic in topics:
                image = np.zeros((*size, 3), np.uint8)
                image[..., 0] = 200
                writer.write_image(topic, START_NS + number * period_ms * MS, image)
    return path


def replay(
    bag: Path, commands: list[TimedCommand], engine: Engine | None = None, realtime: bool = False
) -> tuple[Tally, Kept]:
    engine, sink = engine or Engine(), Kept()
    with BagReader(bag) as reader:
        topics = reader.choose()
        cameras = tuple(topic.camera for topic in topics)
        run = Replay(engine, parse, cameras, commands, sink, realtime, engine.timer)
        return run.run(reader.images(topics)), sink


def test_every_frame_is_answered_however_slow_the_engine_is(tmp_path: Path) -> None:
    tally, sink = replay(write_bag(tmp_path / "bag"), say((0, "watch dog")), Engine(cost_s=5.0))
    assert (tally.frames_in, tally.frames_answered, len(sink.results)) == (10, 10, 10)
    assert not tally.drops and tally.engine_s == pytest.approx(50.0)


def test_every_frame_ignores_rates_and_equal_times(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", period_ms=0)
    tally, _ = replay(bag, say((0, "watch dog"), rate_hz=1.0))
    assert tally.frames_answered == 10


def test_results_carry_the_stamps_of_their_frames(tmp_path: Path) -> None:
    _, sink = replay(write_bag(tmp_path / "bag"), say((0, "watch dog")))
    assert [result.stamp_ns for _, result in sink.results] == [START_NS + number * 100 * MS for number in range(10)]


def test_realtime_drops_what_the_engine_has_no_time_for(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", count=20)
    tally, sink = replay(bag, say((0, "watch dog"), rate_hz=100), Engine(cost_s=0.25), realtime=True)
    stamps = [(result.stamp_ns - START_NS) // MS for _, result in sink.results]
    assert stamps[:4] == [0, 200, 500, 700]
    assert tally.drops == {Drop.OVERWRITTEN: tally.frames_in - len(stamps)}
    assert len(tally.dropped_s) == tally.drops.total()


def test_realtime_keeps_up_with_a_fast_engine(tmp_path: Path) -> None:
    tally, sink = replay(write_bag(tmp_path / "bag"), say((0, "watch dog"), rate_hz=100), Engine(0.02), realtime=True)
    assert len(sink.results) == 10 and not tally.drops
    assert sink.results[3][0] == pytest.approx(0.32)


def test_age_grows_with_waiting_and_computing(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag")
    _, sink = replay(bag, say((0, "watch dog"), rate_hz=100), Engine(cost_s=0.25), realtime=True)
    ages = [round(result.frame_age_ms) for _, result in sink.results]
    assert ages[:3] == [250, 300, 250]


def test_rate_limits_answers_in_realtime(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", count=40, period_ms=50)
    tally, sink = replay(bag, say((0, "watch dog"), rate_hz=5), realtime=True)
    assert len(sink.results) == 10
    # Where a picture arrives in the very moment the one before it becomes due, either may win.
    assert tally.drops.total() == 30 and tally.drops[Drop.NOT_DUE] >= 20


def test_once_command_is_answered_once(tmp_path: Path) -> None:
    _, sink = replay(write_bag(tmp_path / "bag"), say((0.25, "find dog")))
    assert [(result.stamp_ns - START_NS) // MS for _, result in sink.results] == [300]
    assert [event.state for _, _, event in sink.events] == [CommandState.ACCEPTED, CommandState.FINISHED]


def test_pictures_without_a_command_are_counted(tmp_path: Path) -> None:
    tally, sink = replay(write_bag(tmp_path / "bag"), say((0.55, "watch dog")))
    assert len(sink.results) == 4 and tally.drops == {Drop.NO_COMMAND: 6}


def test_stop_ends_the_answers_and_is_traced_to_its_line(tmp_path: Path) -> None:
    _, sink = replay(write_bag(tmp_path / "bag"), say((0, "watch dog"), (0.5, "stop")))
    assert len(sink.results) == 5
    lines = {event.state: line for _, line, event in sink.events}
    assert lines == {CommandState.ACCEPTED: 1, CommandState.STOPPED: 1, CommandState.FINISHED: 2}


def test_answers_to_a_command_stopped_meanwhile_are_dropped(tmp_path: Path) -> None:
    commands = [*say((0, "watch dog"), rate_hz=100), TimedCommand(0.1, Command("stop"), 2)]
    tally, sink = replay(write_bag(tmp_path / "bag", count=3), commands, Engine(cost_s=0.25), realtime=True)
    assert sink.results == [] and tally.drops[Drop.SUPERSEDED] == 1


def test_refused_sentence_is_reported_and_the_rest_goes_on(tmp_path: Path) -> None:
    _, sink = replay(write_bag(tmp_path / "bag"), say((0, "open the door"), (0, "watch dog")))
    assert sink.events[0][1:2] == (1,) and sink.events[0][2].state is CommandState.REFUSED
    assert len(sink.results) == 10


def test_engine_failure_is_a_status_and_the_next_frame_is_served(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as writer:
        for number in range(3):
            image = np.full((24, 32, 3), 13 if number == 1 else 200, np.uint8)
            writer.write_image("/image", START_NS + number * 100 * MS, image)
    tally, sink = replay(tmp_path / "bag", say((0, "watch dog")))
    statuses = [result.perception.status for _, result in sink.results]
    assert statuses == [Status.OK, Status.ERROR, Status.OK] and "out of memory" in tally.notes[0]


def test_undecodable_picture_is_counted_and_named(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as writer:
        for number in range(3):
            writer.write_jpeg("/image/compressed", START_NS + number * 100 * MS, b"no picture")
    tally, sink = replay(tmp_path / "bag", say((0, "watch dog")))
    assert tally.drops == {Drop.UNDECODABLE: 3} and tally.frames_answered == 0
    assert "/image/compressed" in tally.notes[0] and len(sink.results) == 3


def test_cameras_take_turns_in_realtime(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", count=20, topics=("/a/image", "/b/image"))
    _, sink = replay(bag, say((0, "watch dog"), rate_hz=100), Engine(cost_s=0.15), realtime=True)
    counts = [sum(result.camera == name for _, result in sink.results) for name in ("a", "b")]
    assert abs(counts[0] - counts[1]) <= 1 and sum(counts) >= 12


def test_command_for_one_camera_leaves_the_other_alone(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", topics=("/a/image", "/b/image"))
    _, sink = replay(bag, say((0, "watch dog"), camera="b"))
    assert {result.camera for _, result in sink.results} == {"b"} and len(sink.results) == 10


def test_stamps_of_another_clock_do_not_make_frames_stale(tmp_path: Path) -> None:
    from vision_llm_ros.evaluation.bag_types import RAW, header_message, typestore

    with BagWriter(tmp_path / "bag") as writer:
        for number in range(5):
            header = header_message(1_000 * MS + number * 100 * MS, "cam")
            message = typestore().types[RAW](header, 1, 1, "rgb8", 0, 3, np.full(3, 200, np.uint8))
            writer.write("/image", RAW, START_NS + number * 100 * MS, message)
    _, sink = replay(tmp_path / "bag", say((0, "watch dog"), rate_hz=100), Engine(0.01), realtime=True)
    assert [result.perception.status for _, result in sink.results] == [Status.OK] * 5
    assert all(result.frame_age_ms < 20 for _, result in sink.results)


def _examine(tmp_path: Path, bag: Path, options: ExamOptions | None = None) -> Exam:
    return examine(bag, tmp_path / "out", Engine(), parse, say((0, "watch dog")), options or ExamOptions())


def test_results_recording_opens_and_matches_the_frames_by_stamp(tmp_path: Path) -> None:
    _examine(tmp_path, write_bag(tmp_path / "bag"))
    stamps, topics = [], set()
    with AnyReader([tmp_path / "out" / "results.mcap"]) as reader:
        for connection, _, data in reader.messages():
            topics.add(connection.topic)
            if connection.topic == "/perception/detections":
                message = reader.deserialize(data, connection.msgtype)
                stamps.append(message.header.stamp.sec * 1000 + message.header.stamp.nanosec // MS)
                assert (message.info.model, message.detections[0].label, message.image_width) == ("fake", "dog", 32)
    assert stamps == [START_NS // MS + number * 100 for number in range(10)]
    assert topics == {"/perception/detections", "/perception/annotations", "/perception/status"}
    assert sorted(entry.name for entry in (tmp_path / "out").iterdir()) == ["results.mcap"]


def test_pictures_in_the_report_are_few_and_spread(tmp_path: Path) -> None:
    exam = _examine(tmp_path, write_bag(tmp_path / "bag", count=100), ExamOptions(pictures=6))
    times = [float(caption.split(" ")[0]) for _, caption in exam.collector.samples]
    assert 3 <= len(times) <= 6 and times[0] < 1 and times[-1] > 6


def test_annotations_by_stamp_give_accuracy(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", count=4)
    exam = _examine(tmp_path, bag, ExamOptions(annotations=_coco(tmp_path, [0, 1, 2, 3])))
    assert exam.values["box_ap50"] == pytest.approx(1.0) and exam.values["images"] == 4


def test_annotations_of_other_pictures_are_named(tmp_path: Path) -> None:
    exam = _examine(
        tmp_path, write_bag(tmp_path / "bag", count=2), ExamOptions(annotations=_coco(tmp_path, [0, 70, 71]))
    )
    assert exam.values["images"] == 1
    assert any("2 annotated images are not in this recording" in note for note in exam.values["faults"])


def _coco(tmp_path: Path, numbers: list[int]) -> Path:
    images = [
        {
            "id": number + 1,
            "file_name": f"{number}.png",
            "width": 32,
            "height": 24,
            "stamp_ns": START_NS + number * 100 * MS,
        }
        for number in numbers
    ]
    boxes = [
        {
            "id": image["id"],
            "image_id": image["id"],
            "category_id": 1,
            "bbox": [4, 4, 16, 16],
            "area": 256,
            "iscrowd": 0,
        }
        for image in images
    ]
    values = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "dog"}]}
    (tmp_path / "a.json").write_text(json.dumps(values))
    return tmp_path / "a.json"


@pytest.fixture
def command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    monkeypatch.setattr(fleet, "load", lambda model, runtime: (Engine(), parse))
    (tmp_path / "c.yaml").write_text("- {at_s: 0, text: watch dog}\n")

    def call(*arguments: str) -> int:
        return main(["replay", *arguments, "--commands", str(tmp_path / "c.yaml"), "--out", str(tmp_path / "out")])

    return call


def test_replay_writes_report_and_returns_zero(tmp_path: Path, command_line: Callable[..., int]) -> None:
    assert command_line(str(write_bag(tmp_path / "bag")), "--require", "latency_p95_ms<=60000") == 0
    values = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (values["frames_in"], values["results"], values["detections"]) == (10, 10, 10)
    assert values["commands"][0]["state"] == "ACCEPTED" and values["commands"][0]["line"] == 1
    page = (tmp_path / "out" / "report.html").read_text()
    assert "data:image/jpeg" in page and "<svg" in page and 'src="http' not in page


def test_missed_requirement_sets_the_exit_code(
    tmp_path: Path, command_line: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line(str(write_bag(tmp_path / "bag")), "--require", "results>=11") == 1
    assert "results>=11" in capsys.readouterr().err


def test_unknown_metric_is_refused_before_any_work(
    tmp_path: Path, command_line: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line(str(write_bag(tmp_path / "bag")), "--require", "latency_p59_ms<=1") == 1
    assert "latency_p95_ms" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_every_named_threshold_is_in_the_report(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", count=2)
    values = _examine(tmp_path, bag, ExamOptions(annotations=_coco(tmp_path, [0, 1]))).values
    assert set(THRESHOLDS) | set(ACCURACY) <= set(values)


def test_rerun_without_its_package_says_what_to_install(
    tmp_path: Path,
    command_line: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "rerun", None)
    assert command_line(str(write_bag(tmp_path / "bag")), "--rerun", str(tmp_path / "x.rrd")) == 1
    assert "pip install rerun-sdk" in capsys.readouterr().err


def test_damaged_recording_is_named_and_the_others_are_examined(
    tmp_path: Path, command_line: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    good = [write_bag(tmp_path / name) for name in ("one", "two")]
    (tmp_path / "broken.mcap").write_bytes(b"nothing of use")
    assert command_line(str(good[0]), str(tmp_path / "broken.mcap"), str(good[1])) == 1
    assert "broken.mcap" in capsys.readouterr().err
    outcomes = json.loads((tmp_path / "out" / "summary.json").read_text())["recordings"]
    assert [entry.get("results") for entry in outcomes] == [10, None, 10] and "error" in outcomes[1]
    assert (tmp_path / "out" / "summary.html").exists() and (tmp_path / "out" / "two" / "report.html").exists()


def test_cut_recording_gives_a_report_and_exit_code_one(
    tmp_path: Path, command_line: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    with BagWriter(tmp_path / "bag") as writer:
        for number in range(20):
            image = np.random.default_rng(number).integers(1, 255, (300, 400, 3), np.uint8)
            writer.write_image("/image", START_NS + number * 100 * MS, image)
    file = tmp_path / "bag" / "bag.mcap"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert command_line(str(tmp_path / "bag")) == 1
    assert "byte" in capsys.readouterr().err
    assert 3 <= json.loads((tmp_path / "out" / "report.json").read_text())["frames_in"] < 20


def test_typo_in_the_commands_file_is_named_and_the_rest_is_run(
    tmp_path: Path, command_line: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c.yaml").write_text("- {at_s: 0, text: watch dog}\n- {at: 1, text: find cats}\n- {text: blargh}\n")
    assert command_line(str(write_bag(tmp_path / "bag"))) == 1
    error = capsys.readouterr().err
    assert "line 2" in error and "'at'" in error and "line 3" in error and "blargh" in error
    assert json.loads((tmp_path / "out" / "report.json").read_text())["results"] == 10


def test_ray_without_ray_says_what_to_install(
    tmp_path: Path,
    command_line: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    assert command_line(str(write_bag(tmp_path / "bag")), "--ray") == 1
    assert "pip install ray" in capsys.readouterr().err


def test_memory_stays_with_the_length_of_the_recording(tmp_path: Path) -> None:
    import tracemalloc

    bags = [write_bag(tmp_path / str(count), count, size=(120, 160)) for count in (30, 300)]

    def peak(bag: Path) -> int:
        tracemalloc.start()
        examine(bag, tmp_path / f"out-{bag.name}", Engine(), parse, say((0, "watch dog")), ExamOptions(pictures=2))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(bags[0])
    # 270 pictures more are 15 MB; the writer's buffer of one chunk and the lists of times may differ.
    assert peak(bags[1]) - peak(bags[0]) < 4_000_000


@pytest.mark.slow
def test_ten_thousand_frames_take_less_than_150_megabytes_more(tmp_path: Path) -> None:
    import psutil

    bag = write_bag(tmp_path / "bag", 10_000, size=(120, 160))
    process = psutil.Process()
    examine(write_bag(tmp_path / "warm", 50), tmp_path / "w", Engine(), parse, say((0, "watch dog")), ExamOptions())
    before = process.memory_info().rss
    exam = examine(bag, tmp_path / "out", Engine(), parse, say((0, "watch dog")), ExamOptions())
    assert exam.values["results"] == 10_000
    assert process.memory_info().rss - before < 150_000_000
