"""`vision-llm replay BAG --commands C.yaml --out DIR`: examine recordings without a ROS graph."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vision_llm_ros.config import RuntimeConfig
from vision_llm_ros.errors import ConfigError

if TYPE_CHECKING:
    from vision_llm_ros.evaluation.bags import RecordedImage
    from vision_llm_ros.evaluation.fleet import Job

HELP = "examine recordings: accuracy, latency, age and drops, without a ROS graph"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bags", type=Path, nargs="+", metavar="BAG", help="rosbag2 folder, .mcap, .db3 or ROS 1 .bag")
    parser.add_argument("--commands", type=Path, required=True, metavar="C.yaml", help="list of {at_s, text, ...}")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="results.mcap, report.html, report.json")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--every-frame", action="store_true", help="answer every picture; for accuracy (default)")
    mode.add_argument("--realtime", action="store_true", help="recorded timing, latest frame wins; for latency")
    parser.add_argument("--topic", action="append", default=[], metavar="TOPIC", help="image topic (default: all)")
    parser.add_argument("--annotations", type=Path, metavar="A.json", help="COCO instances; gives box_ap, box_ap50")
    parser.add_argument("--require", action="append", default=[], metavar="METRIC", help="e.g. 'latency_p95_ms<=250'")
    parser.add_argument("--model", default="nano", help="preset name or YAML file (default: nano)")
    parser.add_argument("--device", default=RuntimeConfig().device, help="auto, cpu or cuda:N (default: auto)")
    parser.add_argument("--threshold", type=float, metavar="SCORE", help="report nothing below; use 0 for exact AP")
    parser.add_argument("--limit", type=int, default=0, metavar="N", help="stop after N pictures")
    parser.add_argument("--pictures", type=int, default=12, metavar="N", help="drawn pictures in the report")
    parser.add_argument("--ray", action="store_true", help="spread many recordings over Ray")
    parser.add_argument("--rerun", type=Path, metavar="FILE.rrd", help="also write a Rerun recording")


def run(args: argparse.Namespace) -> int:
    from vision_llm_ros.evaluation.commands_file import read_commands
    from vision_llm_ros.evaluation.exam import ACCURACY, THRESHOLDS
    from vision_llm_ros.evaluation.requirements import parse_requirements

    requirements = parse_requirements(args.require, (*THRESHOLDS, *(ACCURACY if args.annotations else ())))
    commands, faults = read_commands(args.commands)
    jobs = _jobs(args, tuple(commands), tuple(faults))
    outcomes = _examine(args, jobs)
    problems = [text for values in outcomes for text in _problems(values)]
    problems += [text for values in outcomes if "error" not in values for text in _missed(values, requirements)]
    for values in outcomes:
        print(_line(values))
    for text in problems:
        print(f"problem: {text}", file=sys.stderr)
    return 1 if problems else 0


def _jobs(args: argparse.Namespace, commands: tuple[Any, ...], faults: tuple[str, ...]) -> list[Job]:
    from vision_llm_ros.evaluation.exam import ExamOptions
    from vision_llm_ros.evaluation.fleet import Job

    options = ExamOptions(args.realtime, tuple(args.topic), args.annotations, max(0, args.pictures), args.limit)
    runtime = RuntimeConfig(device=args.device)
    if args.threshold is not None:
        runtime = dataclasses.replace(runtime, score_threshold=args.threshold)
    names = _distinct_names(args.bags)
    folders = [args.out] if len(args.bags) == 1 else [args.out / name for name in names]
    return [
        Job(bag, folder, commands, faults, options, args.model, runtime)
        for bag, folder in zip(args.bags, folders, strict=True)
    ]


def _examine(args: argparse.Namespace, jobs: list[Job]) -> list[dict[str, Any]]:
    from vision_llm_ros.evaluation import fleet

    if args.rerun and (args.ray or len(jobs) > 1):
        raise ConfigError(f"--rerun writes one recording's file; got {len(jobs)} recordings")
    if args.ray:
        outcomes = fleet.examine_with_ray(jobs)
    elif len(jobs) == 1:
        others = _viewers(args.rerun)
        engine, parse = fleet.load(args.model, jobs[0].runtime)
        return [fleet.examine_one(jobs[0], engine, parse, others, _progress)]
    else:
        outcomes = fleet.examine_all(jobs, *fleet.load(args.model, jobs[0].runtime), _progress)
    fleet.write_summary(outcomes, args.out)
    return outcomes


def _viewers(path: Path | None) -> tuple[Any, ...]:
    from vision_llm_ros.evaluation.rerun_sink import RerunSink

    return () if path is None else (RerunSink(path),)


def _progress(images: Iterable[RecordedImage], total: int) -> Iterable[RecordedImage]:
    from tqdm import tqdm

    shown: Iterable[RecordedImage] = tqdm(
        images, total=total if total >= 0 else None, unit="frame", smoothing=0.05, mininterval=0.5
    )
    return shown


def _problems(values: dict[str, Any]) -> list[str]:
    if "error" in values:
        return [values["error"]]
    return [
        *values["damage"],
        *values["faults"],
        *(note for note in values["notes"] if "not in this recording" in note),
    ]


def _missed(values: dict[str, Any], requirements: Any) -> list[str]:
    from vision_llm_ros.evaluation.requirements import unmet

    return [f"{values['recording']}: {text}" for text in unmet(requirements, values)]


def _line(values: dict[str, Any]) -> str:
    if "error" in values:
        return f"{values['recording']}: not examined"
    accuracy = f", AP50 {values['box_ap50']:.3f}" if values.get("box_ap50") is not None else ""
    times = "no results" if values["latency_p95_ms"] is None else f"latency p95 {values['latency_p95_ms']:.0f} ms"
    return (
        f"{values['recording']}: {values['frames_in']} frames, {values['results']} results, "
        f"{values['detections']} detections, {values['frames_dropped']} dropped, {times}{accuracy}"
    )


def _distinct_names(bags: list[Path]) -> list[str]:
    names: list[str] = []
    for bag in bags:
        name, number = bag.stem or "bag", 2
        while name in names:
            name, number = f"{bag.stem}-{number}", number + 1
        names.append(name)
    return names
