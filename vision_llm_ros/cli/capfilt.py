"""`vision-llm capfilt FOLDER|COCO.json --out DIR`: captions for one's own pictures, and only those that fit."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from vision_llm_ros.cli.match import add_engine
from vision_llm_ros.config import RuntimeConfig
from vision_llm_ros.errors import ConfigError

if TYPE_CHECKING:
    from vision_llm_ros.training.datasets import Picture

HELP = "propose captions for pictures and keep those that fit (CapFilt)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="FOLDER|COCO.json", help="pictures, or captions to clean")
    parser.add_argument("--images", type=Path, metavar="DIR", help="pictures of COCO.json are DIR/file_name")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="captions.json, report.json, with --noise noisy.json"
    )
    parser.add_argument(
        "--threshold", type=float, metavar="P", help="probability from which it fits (default: trained)"
    )
    parser.add_argument("--no-captioner", action="store_true", help="filter what is given, propose nothing")
    parser.add_argument("--noise", type=float, default=0.0, metavar="X", help="share of captions put to wrong pictures")
    parser.add_argument("--limit", type=int, default=0, metavar="N", help="at most N pictures; 0: all")
    parser.add_argument("--seed", type=int, default=0, help="of --limit and --noise (default: 0)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    add_engine(parser)


def run(args: argparse.Namespace) -> int:
    from vision_llm_ros.evaluation import capfilt
    from vision_llm_ros.evaluation.trial import Trial
    from vision_llm_ros.interfaces import Task
    from vision_llm_ros.runtime.engine import load_engine
    from vision_llm_ros.runtime.matching import matcher_of
    from vision_llm_ros.training.datasets import choose_some

    if not 0 <= args.noise < 1:
        raise ConfigError(f"--noise: expected 0..1, got {args.noise}")
    pictures, captions = _read(args)
    if args.noise and not captions:
        raise ConfigError("--noise needs captions to put to wrong pictures; give a COCO.json")
    chosen = choose_some(pictures, args.limit, args.seed)
    captions = {p.image_id: captions[p.image_id] for p in chosen if p.image_id in captions}
    noisy, wrong = capfilt.shuffled(captions, args.noise, args.seed)
    engine = load_engine(args.model, RuntimeConfig(weights=args.weights, device=args.device))
    trial = Trial(engine, args.seed, args.quiet)
    if not args.no_captioner:
        trial.require(Task.CAPTION)
    matcher = matcher_of(engine)
    threshold = matcher.config.match_threshold if args.threshold is None else args.threshold
    judged = list(capfilt.judge(trial, matcher, chosen, noisy, not args.no_captioner, threshold, wrong))
    args.out.mkdir(parents=True, exist_ok=True)
    report = capfilt.report(judged, threshold, args.noise)
    report |= {"notes": list(trial.notes.lines()), "seed": args.seed}
    root = args.images or args.source
    files = {"captions": capfilt.coco([each for each in judged if each.kept], root), "report": report}
    if args.noise:
        files["noisy"] = capfilt.coco([each for each in judged if each.origin == "given"], root)
    for name, values in files.items():
        (args.out / f"{name}.json").write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    for origin in ("given", "synthetic"):
        print(f"{origin}: {report[origin]['kept']} of {report[origin]['judged']} kept")
    if args.noise:
        print("noise: precision {precision:.3f}, recall {recall:.3f}".format(**report["noise"]))
    print(f"{args.out}: captions.json for `vision-llm train align`, report.json with samples")
    return 0


def _read(args: argparse.Namespace) -> tuple[list[Picture], dict[int, tuple[str, ...]]]:
    """Pictures, and the captions they come with."""
    from vision_llm_ros.evaluation.restoration import find_pictures
    from vision_llm_ros.training.datasets import load_captions

    if args.source.is_dir():
        return find_pictures(args.source), {}
    if args.images is None:
        raise ConfigError(f"{args.source} is no folder; for a captions file name its pictures: --images DIR")
    dataset = load_captions(args.source, args.images)
    return list(dataset.pictures), dataset.captions
