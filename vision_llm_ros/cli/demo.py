"""`vision-llm demo --out DIR`: camera, perception and recorder as real nodes; typed commands; a report."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vision_llm_ros.errors import ConfigError, EngineError, RecordingError

if TYPE_CHECKING:
    from vision_llm_ros.nodes.children import Children
    from vision_llm_ros.nodes.operator import OperatorNode

HELP = "start the nodes, play a sample recording, give commands, write a report"
NODES = {name: f"vision_llm_ros.nodes.{name}" for name in ("perception", "player", "recorder")}
TOPICS = ("image/compressed", "perception/detections", "perception/status")
START_TIMEOUT_S = 180.0


@dataclass(frozen=True)
class Line:
    """What the operator says, at which part of the recording; with an id as a Command, else as a plain sentence."""

    part: float
    text: str
    id: str = ""


SCRIPT = (
    Line(0.0, "watch for people, cats, cups and motorcycles at 10 Hz", "watch"),
    Line(0.37, "where is the red cup?"),
    Line(0.6, "open the pod bay doors"),
    Line(0.9, "stop"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="recording, report.html, summary.json")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the sample recording (default: 20)")
    parser.add_argument("--model", default="nano", help="preset name or YAML file (default: nano)")


def run(args: argparse.Namespace) -> int:
    if not 2 <= args.seconds <= 600:
        raise ConfigError(f"--seconds expects 2..600, got {args.seconds:g}")
    try:
        import rclpy  # noqa: F401 (here, so that a missing ROS is told before any work)
    except ImportError as error:
        raise ConfigError(
            f"The demo needs ROS 2, which cannot be imported: {error}; see `vision-llm doctor`"
        ) from error
    from vision_llm_ros.evaluation.replay_report import write_json
    from vision_llm_ros.evaluation.sample import attribution, sample_recording

    _say("1/4 sample recording")
    sample = sample_recording(args.seconds)
    recording = _fresh(args.out)
    play(sample, recording, args.seconds, args.model, args.out / "logs")
    _say("4/4 report")
    summary = write_results(args.out, recording, attribution(), write_json)
    _say(
        f"{summary['frames_in']} pictures, {summary['results']} results, {summary['detections']} detections, "
        f"latency p50 {summary['latency_ms']['p50']} ms: {args.out / 'report.html'}"
    )
    return 0


def write_results(
    out: Path, recording: Path, credits: list[str], write_json: Callable[[Path, Any], None]
) -> dict[str, Any]:
    """Write summary.json and report.html.

    Raises:
        EngineError: not one result came; the log of the perception node says why.
    """
    from vision_llm_ros.evaluation.demo_report import demo_page, read_run

    run = read_run(recording)
    summary = run.summary()
    write_json(out / "summary.json", summary)
    if not run.results:
        raise EngineError(f"{summary['frames_in']} pictures were sent, but no result came back; see {out / 'logs'}")
    demo_page(run, recording, credits).write(out / "report.html")
    return summary


def play(sample: Path, recording: Path, seconds: float, model: str, logs: Path) -> None:
    """Run the nodes over the sample and record them.

    Raises:
        EngineError: a process died or did not become ready; the end of its log is part of the message.
    """
    from vision_llm_ros.nodes.children import Children

    with ros_environment() as environment, Children(logs, environment) as children, operator() as node:
        _say(f"2/4 starting nodes (model {model}, ROS domain {environment['ROS_DOMAIN_ID']})")
        settings = ("-p", f"model:={model}", "-p", "image_transport:=compressed")
        children.start("perception", NODES["perception"], "--ros-args", *settings)
        children.start("recorder", NODES["recorder"], str(recording), "--topics", *TOPICS)
        _await_ready(children, node)
        _say("3/4 playing")
        # Perception, recorder and operator: the camera starts when all of them listen.
        player = (str(sample), "--topic", "image", "--wait-for-subscriber", "3")
        children.start("player", NODES["player"], *player)
        _perform(children, node, seconds)
        node.spin(1.5)
        children.stop("recorder")
        children.check("perception")


@contextmanager
def ros_environment() -> Iterator[dict[str, str]]:
    """A ROS domain of this run's own, closed to other machines; set in this process as well."""
    from vision_llm_ros.nodes.dds import use_shipped_profile

    before = dict(os.environ)
    os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    use_shipped_profile()
    try:
        yield dict(os.environ)
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def operator() -> Iterator[OperatorNode]:
    """The commanding node; what is said back to it is shown as it comes."""
    import rclpy
    from rclpy.signals import SignalHandlerOptions
    from tqdm import tqdm

    from vision_llm_ros.interfaces import CommandState
    from vision_llm_ros.nodes.operator import OperatorNode

    def note(status: Any) -> None:
        text = f"      {CommandState(status.state).name:<9} {status.command_text!r}: {status.text}"
        tqdm.write(text, file=sys.stderr)

    # Signals stay Python's: they unwind this process, which ends the others on the way.
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    node = OperatorNode(note)
    try:
        yield node
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        node.destroy_node()
        rclpy.try_shutdown()


def _await_ready(children: Children, node: OperatorNode) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not (node.is_active() and node.hears()):
        node.spin(0.25)
        children.check("perception", "recorder")
        if time.monotonic() > deadline:
            tail = children.tail("perception")
            raise EngineError(f"The perception node was not active after {START_TIMEOUT_S:g} s. {tail}")


def _perform(children: Children, node: OperatorNode, seconds: float) -> None:
    """Say each line at its time while the camera plays; ends with the camera."""
    from tqdm import tqdm

    script = list(SCRIPT)
    node.give(script[0].text, script[0].id)
    del script[0]
    total = round(10 * seconds)
    with tqdm(total=total, unit="picture", leave=False, disable=None) as bar:
        while children.running("player"):
            node.spin(0.05)
            played_s = node.now_s() - node.first_frame_s if node.first_frame_s is not None else 0.0
            while script and played_s >= script[0].part * seconds:
                line = script.pop(0)
                node.give(line.text, line.id)
            bar.update(min(total, node.frames) - bar.n)
            bar.set_postfix(results=node.results, refresh=False)
            children.check("perception", "recorder")
    if not node.frames:
        raise EngineError(f"The camera sent no picture. {children.tail('player')}")


def _fresh(out: Path) -> Path:
    """`out`/recording, emptied of an earlier run's.

    Raises:
        RecordingError: no right to write there, or something else lies in its place.
    """
    recording = out / "recording"
    try:
        out.mkdir(parents=True, exist_ok=True)
        if recording.exists() and not any(recording.glob("*.mcap")):
            raise RecordingError(f"{recording} exists and is no recording of an earlier demo; name another --out")
        shutil.rmtree(recording, ignore_errors=True)
    except OSError as error:
        raise RecordingError(f"Cannot write to {out}: {error.strerror}") from error
    return recording


def _say(text: str) -> None:
    print(f"demo: {text}", file=sys.stderr, flush=True)
