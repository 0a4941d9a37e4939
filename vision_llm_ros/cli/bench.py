"""`vision-llm bench [--peers] [--out B.json]`: how fast is the model on this machine."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vision_llm_ros.cli.options import add_settings, given_settings
from vision_llm_ros.config import RuntimeConfig
from vision_llm_ros.errors import ConfigError

HELP = "measure latency by stage, cold start and memory, beside published detectors"
_RUNTIME = ("weights", "device", "dtype", "threads")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, metavar="B.json", help="write the report there")
    parser.add_argument("--peers", action="store_true", help="also time OWL-ViT B/32 and Grounding DINO tiny, in turns")
    parser.add_argument("--frames", type=int, default=50, metavar="N", help="photographs of 640x480 (default: 50)")
    parser.add_argument("--peer-frames", type=int, default=8, metavar="N", help="of them for the peers (default: 8)")
    parser.add_argument("--classes", metavar="A,B,C", help="what to look for (default: person,cat,car,cup,chair)")
    parser.add_argument("--model", default="nano", help="preset name or YAML file (default: nano)")
    add_settings(parser, RuntimeConfig, _RUNTIME)
    parser.add_argument("--no-cold-start", action="store_true", help="skip the fresh process")


def run(args: argparse.Namespace) -> int:
    from vision_llm_ros.evaluation.bench import CLASSES, BenchOptions, bench

    named = tuple(part.strip() for part in (args.classes or "").split(",") if part.strip())
    options = BenchOptions(
        preset=args.model,
        runtime=given_settings(args, RuntimeConfig, _RUNTIME),
        classes=named or CLASSES,
        frames=args.frames,
        peers=args.peers,
        peer_frames=args.peer_frames,
        fresh=not args.no_cold_start,
    )
    report = bench(options, _progress)
    if args.out:
        _write(args.out, report)
    _show(report)
    return 0


def _progress(items: Sequence[Any], title: str) -> Iterator[Any]:
    from tqdm import tqdm

    yield from tqdm(items, desc=title, unit="frame")


def _write(path: Path, report: dict[str, Any]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--out: cannot write {path}: {error.strerror}") from error


def _show(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    ours, model = report["detect"], report["model"]
    table = Table("", "p50 ms", "p95 ms", "times ours", title="one frame to detections", title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    table.add_row(model["name"], f"{ours['p50_ms']:.1f}", f"{ours['p95_ms']:.1f}", "1.00")
    for stage, elapsed in ours["stages"].items():
        table.add_row(f"  {stage}", f"{elapsed:.1f}", "", "")
    for name, peer in report["peers"].items():
        size = "x".join(map(str, peer["input_wh_px"]))
        table.add_row(f"{name} ({size})", f"{peer['p50_ms']:.1f}", f"{peer['p95_ms']:.1f}", f"{peer['ratio']:.2f}")
    console = Console()
    console.print(table)
    for line in _lines(report):
        console.print(line, markup=False, highlight=False)


def _lines(report: dict[str, Any]) -> Iterator[str]:
    if "cold_start_s" in report:
        yield f"cold start {report['cold_start_s']:.1f} s, peak memory {report['memory_mb']:.0f} MB"
    for decoding in report["decoding"]:
        yield (
            f"decoding {decoding['sets']} tuples: in parallel {decoding['parallel_ms']:.1f} ms, token by token "
            f"{decoding['autoregressive_ms']:.1f} ms, {decoding['ratio']:.1f} times as long"
        )
    if (refer := report["refer"]) is not None:
        yield (
            f"referring sentence: p50 {refer['p50_ms']:.1f} ms, p95 {refer['p95_ms']:.1f} ms, the first time "
            f"{refer['new_p50_ms']:.1f} ms; {refer['masks']:.1f} masks on average"
        )
    for task, text in report["text"].items():
        yield (
            f"{task}: p50 {text['p50_ms']:.0f} ms, p95 {text['p95_ms']:.0f} ms; CPU time of all threads "
            f"{text['cpu_p50_ms']:.0f} ms"
        )
    for path, restore in report["restore"].items():
        speed = f", {restore['tokens_per_s']:.0f} visual tokens a second" if path == "language" else ""
        yield f"restore 320x240, {path}: p50 {restore['p50_ms']:.0f} ms, p95 {restore['p95_ms']:.0f} ms{speed}"
    if (cost := report["mask_decoder"]) is not None:
        shares = ", ".join(f"{number}: {share:.2f} %" for number, share in cost["percent"].items())
        yield f"pixel decoder against SAM's ViT-B encoder ({cost['sam_gflop']:.0f} GFLOP), by targets: {shares}"
    model = report["model"]
    yield (
        f"{model['name']} {model['weights_hash']}, {report['frames']} frames, {report['dtype']} on {report['device']}, "
        f"{report['threads']} threads of {report['machine']['cpu']}, load {report['load_average_before']} before"
    )
