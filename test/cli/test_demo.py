from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from vision_llm_ros.cli import demo, main
from vision_llm_ros.evaluation.bag_writer import BagWriter
from vision_llm_ros.evaluation.demo_report import choose, demo_page, read_run
from vision_llm_ros.evaluation.result_messages import result_messages, status_message
from vision_llm_ros.interfaces import (
    CommandState,
    Detection,
    Perception,
    Result,
    Status,
    Task,
    TaskSpec,
)
from vision_llm_ros.runtime.pixels import encode_compressed
from vision_llm_ros.runtime.scheduler import CommandEvent

MS = 1_000_000
START_NS = 1_700_000_000 * 1000 * MS
STAND_IN = Path(__file__).parents[1] / "nodes"
SPEC = TaskSpec(Task.DETECT, ("dog",))


def _result(stamp_ns: int, status: Status = Status.OK) -> Result:
    found = (Detection("dog", 0, 0.75, (10.0, 10.0, 30.0, 40.0)),) if status is Status.OK else ()
    perception = Perception(Task.DETECT, status, "", found, stage_ms={"backbone": 3.0})
    return Result("watch", 1, SPEC, stamp_ns, "camera", "", (64, 48), perception, "nano", "ab" * 6, 20.0, 35.0)


def _recording(path: Path, stray: bool = False, results: int = 8) -> Path:
    picture = encode_compressed(np.full((48, 64, 3), 90, np.uint8))
    with BagWriter(path) as writer:
        for event in (
            CommandEvent(CommandState.ACCEPTED, "watch", 1, "watch dogs", SPEC, "detect dog"),
            CommandEvent(CommandState.REFUSED, "c1", 0, "open the door", None, "no arms"),
            CommandEvent(CommandState.STOPPED, "watch", 1, "watch dogs", SPEC, "stopped by a command"),
        ):
            topic, msgtype, message = status_message(event, START_NS)
            writer.write(topic, msgtype, START_NS, message)
        for number in range(10):
            stamp_ns = START_NS + number * 100 * MS
            writer.write_jpeg("/image/compressed", stamp_ns, picture)
            if number < results:
                status = Status.NOTHING_FOUND if number == 3 else Status.OK
                result = _result(stamp_ns + (1 if stray else 0), status)
                topic, msgtype, message = next(result_messages(result))
                writer.write(topic, msgtype, stamp_ns + 40 * MS, message)
    return path


def test_summary_has_the_promised_keys_and_counts(tmp_path: Path) -> None:
    summary = read_run(_recording(tmp_path / "bag")).summary()
    assert (summary["frames_in"], summary["results"], summary["detections"]) == (10, 8, 7)
    assert summary["stamps_match"] is True and summary["model"] == "nano"
    assert summary["status_counts"] == {"OK": 7, "NOTHING_FOUND": 1}
    assert summary["latency_ms"] == {"p50": 20.0, "p95": 20.0, "p99": 20.0}


def test_commands_tell_sentence_task_and_how_they_ended(tmp_path: Path) -> None:
    commands = read_run(_recording(tmp_path / "bag")).summary()["commands"]
    found = [(entry["id"], entry["text"], entry["task"], entry["state"]) for entry in commands]
    assert found == [("watch", "watch dogs", "detect", "STOPPED"), ("c1", "open the door", "", "REFUSED")]


def test_result_with_a_stamp_of_no_picture_is_found_out(tmp_path: Path) -> None:
    assert read_run(_recording(tmp_path / "bag", stray=True)).summary()["stamps_match"] is False


def test_recorded_detections_come_back_as_they_were(tmp_path: Path) -> None:
    _, result = read_run(_recording(tmp_path / "bag")).results[0]
    assert result == _result(START_NS)


def test_pictures_of_the_report_are_spread_and_tell_most(tmp_path: Path) -> None:
    run = read_run(_recording(tmp_path / "bag"))
    chosen = choose(run, 4)
    assert len(chosen) == 4 and all(result.perception.detections for _, result in chosen)


def test_page_holds_pictures_commands_and_credits(tmp_path: Path) -> None:
    recording = _recording(tmp_path / "bag")
    text = demo_page(read_run(recording), recording, ["Photo by <somebody>"]).render()
    assert text.count("data:image/jpeg") >= 4 and "open the door" in text and "Photo by &lt;somebody&gt;" in text


def test_run_without_results_is_an_error_with_the_place_of_the_logs(tmp_path: Path) -> None:
    from vision_llm_ros.errors import EngineError
    from vision_llm_ros.evaluation.replay_report import write_json

    with pytest.raises(EngineError, match=r"10 pictures were sent, but no result.*logs"):
        demo.write_results(tmp_path, _recording(tmp_path / "bag", results=0), [], write_json)
    assert json.loads((tmp_path / "summary.json").read_text())["results"] == 0


def test_foreign_folder_is_not_removed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "recording").mkdir()
    (tmp_path / "recording" / "thesis.txt").write_text("years of work")
    assert main(["demo", "--out", str(tmp_path)]) == 1
    assert (tmp_path / "recording" / "thesis.txt").exists() and "recording" in capsys.readouterr().err


def test_strange_length_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--out", str(tmp_path), "--seconds", "0"]) == 1
    assert "--seconds" in capsys.readouterr().err


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(demo.NODES, "perception", "stand_in_perception")
    monkeypatch.setenv("PYTHONPATH", str(STAND_IN))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.ros
@pytest.mark.usefixtures("stand_in")
def test_demo_runs_over_dds_and_tells_what_happened(tmp_path: Path) -> None:
    assert main(["demo", "--out", str(tmp_path / "out"), "--seconds", "4"]) == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["frames_in"] == 40 and summary["results"] >= 25 and summary["stamps_match"]
    states = {entry["text"]: entry["state"] for entry in summary["commands"]}
    assert states[demo.SCRIPT[0].text] == "STOPPED" and states["open the pod bay doors"] == "REFUSED"
    assert "data:image/jpeg" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.ros
def test_dead_node_is_named_with_the_end_of_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(demo.NODES, "perception", "no_such_module_of_ours")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert main(["demo", "--out", str(tmp_path / "out"), "--seconds", "2"]) == 1
    error = capsys.readouterr().err
    assert "perception process ended" in error and "no_such_module_of_ours" in error


@pytest.mark.ros
@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_demo_leaves_no_process_behind(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "vision_llm_ros.cli", "demo", "--seconds", "20", "--out", str(tmp_path / "out")]
    starter = f"import sys; sys.argv = {command[2:]!r}\nfrom vision_llm_ros.cli import demo, main\n"
    starter += "demo.NODES['perception'] = 'stand_in_perception'\nsys.exit(main(sys.argv[1:]))"
    path = os.pathsep.join((str(STAND_IN.parents[1]), str(STAND_IN)))
    process = subprocess.Popen(
        [sys.executable, "-c", starter],
        env={**os.environ, "PYTHONPATH": path},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored where tests run in the background
    )
    deadline = time.monotonic() + 40
    while not (tmp_path / "out" / "logs" / "player.log").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(number)
    assert process.wait(30) == 130
    mine = [
        child for child in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(child.info["cmdline"] or ())
    ]
    assert mine == []


@pytest.mark.ros
@pytest.mark.slow
def test_demo_with_the_shipped_model(tmp_path: Path) -> None:
    assert main(["demo", "--out", str(tmp_path)]) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["frames_in"] == 200 and summary["stamps_match"] and summary["detections"] > 0
    assert "REFUSED" in [entry["state"] for entry in summary["commands"]]
