"""`vision-llm ablate NAME ...`: the published ablations at a fixed budget, on your own data."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vision_llm_ros.cli import ablate_small
from vision_llm_ros.cli.arm_report import check_writable, progress, write_report
from vision_llm_ros.cli.options import add_settings, given_settings
from vision_llm_ros.config import AblationConfig, ModelConfig, RuntimeConfig
from vision_llm_ros.evaluation.arms import CLASSES, NETWORK
from vision_llm_ros.resources import load_preset, weights_path

if TYPE_CHECKING:
    from vision_llm_ros.evaluation.arm_run import AblationOptions

HELP = "learn the arms of a published ablation at a fixed budget and compare them"
NAMES = {
    "prior": "the tokenizer's own estimate as a prior of the decoder: none, of boxes, of classes too",
    "tokens": "25, 50, 100 image tokens",
    "bins": "257, 513, 1025, 2049 location bins",
    "tokenizer": "average pooling, queries",
    "lora": "LoRA off and on, fixed and random words",
    "stages": "one stage, two stages",
    "text": "text encoder none, frozen, trained",
    "decoding": "in parallel, token by token",
}
ALL = "all"
_RUNTIME = ("device", "dtype", "threads")
_NETWORK = tuple(NETWORK)
_SHARES = ("polygon_share", "ground_share")
_LEARNING = ("batch_size", "learning_rate", "warmup_steps", "sets", "polygon_sets", *_SHARES, "save_every", "seed")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    told = "; ".join(f"{name}: {text}" for name, text in NAMES.items())
    told += f"; {ALL}: one after another; " + "; ".join(f"{name}: {text}" for name, text in ablate_small.NAMES.items())
    parser.add_argument("name", choices=(*NAMES, ALL, *ablate_small.NAMES), metavar="NAME", help=told)
    parser.add_argument("--annotations", type=Path, required=True, metavar="A.json", help="COCO instances to learn")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="pictures are DIR/file_name")
    parser.add_argument("--referring", type=Path, nargs="+", default=[], metavar="R.json", help="expressions to learn")
    parser.add_argument("--dev-annotations", type=Path, required=True, metavar="D.json", help="to measure on")
    parser.add_argument("--dev-images", type=Path, metavar="DIR", help="their pictures (default: --images)")
    parser.add_argument("--dev-referring", type=Path, metavar="R.json", help="expressions to measure P@0.5 on")
    parser.add_argument(
        "--budget-steps", type=int, default=100, metavar="N", help="steps of each arm, all stages (default: 100)"
    )
    parser.add_argument("--classes", default=CLASSES, metavar="LIST", help=f"names or sets (default: {CLASSES})")
    parser.add_argument("--pictures", type=int, default=400, metavar="N", help="learn from at most N (default: 400)")
    parser.add_argument("--limit", type=int, default=60, metavar="N", help="measure on at most N (default: 60; 0: all)")
    parser.add_argument(
        "--init",
        type=Path,
        metavar="FOLDER",
        help="start from all of these weights that fits an arm, not from the preset's imported detector alone",
    )
    parser.add_argument("--preset", default="nano", help="preset that the arms change (default: nano)")
    parser.add_argument("--out", type=Path, required=True, metavar="T.json", help="report; a table goes to T.md")
    parser.add_argument("--runs", type=Path, metavar="DIR", help="the arms' runs, resumable (default: T.runs)")
    add_settings(parser, RuntimeConfig, _RUNTIME)
    add_settings(parser, AblationConfig, _LEARNING)
    add_settings(parser, ModelConfig, _NETWORK)


def run(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.markdown import Markdown

    from vision_llm_ros.evaluation.ablation import ablate, markdown

    check_writable(args.out)
    if args.name in ablate_small.NAMES:
        return ablate_small.run(args)

    def keep(report: dict[str, Any]) -> None:
        write_report(args.out, report, markdown(report))

    report = ablate(tuple(NAMES) if args.name == ALL else (args.name,), _options(args), progress, keep)
    Console().print(Markdown(markdown(report)))
    return 1 if any(arm["error"] for group in report["ablations"] for arm in group["arms"]) else 0


def _options(args: argparse.Namespace) -> AblationOptions:
    from vision_llm_ros.evaluation.arm_run import AblationOptions

    preset = load_preset(args.preset)
    network = NETWORK | {name: getattr(args, name) for name in _NETWORK if getattr(args, name) is not None}
    return AblationOptions(
        annotations=args.annotations,
        images=args.images,
        dev_annotations=args.dev_annotations,
        dev_images=args.dev_images or args.images,
        folder=args.runs or args.out.with_suffix(".runs"),
        budget_steps=args.budget_steps,
        referring=tuple(args.referring),
        dev_referring=args.dev_referring,
        limit=args.limit,
        start=args.init or weights_path() / preset.name,
        whole=args.init is not None,
        classes=args.classes,
        pictures=args.pictures,
        model=replace(preset, **network),
        train=given_settings(args, AblationConfig, _LEARNING),
        runtime=given_settings(args, RuntimeConfig, _RUNTIME),
    )
