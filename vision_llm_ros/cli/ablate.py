"""`vision-llm ablate NAME ...`: the published ablations at a fixed budget, on your own data."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vision_llm_ros.cli.options import add_settings, given_settings
from vision_llm_ros.config import RuntimeConfig, TrainConfig
from vision_llm_ros.errors import ConfigError
from vision_llm_ros.resources import load_preset

if TYPE_CHECKING:
    from vision_llm_ros.evaluation.ablation import AblationOptions

HELP = "learn the arms of a published ablation at a fixed budget and compare them"
NAMES = {
    "text": "text encoder none, frozen, trained",
    "tokenizer": "average pooling, queries",
    "bins": "257, 513, 1025, 2049 location bins",
    "tokens": "25, 50, 100 image tokens",
    "lora": "LoRA on and off, random words on and off",
    "prior": "the tokenizer's own estimate as a prior of the decoder, on and off",
    "decoding": "in parallel, token by token",
    "stages": "one stage, two stages",
}
_RUNTIME = ("device", "dtype", "threads")
_LEARNING = ("batch_size", "learning_rate", "warmup_steps", "sets", "polygon_sets", "save_every", "seed")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    told = "; ".join(f"{name}: {text}" for name, text in NAMES.items())
    parser.add_argument("name", choices=NAMES, metavar="NAME", help=told)
    parser.add_argument("--annotations", type=Path, required=True, metavar="A.json", help="COCO instances to learn")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="pictures are DIR/file_name")
    parser.add_argument("--referring", type=Path, nargs="+", default=[], metavar="R.json", help="expressions to learn")
    parser.add_argument("--dev-annotations", type=Path, required=True, metavar="D.json", help="to measure on")
    parser.add_argument("--dev-images", type=Path, metavar="DIR", help="their pictures (default: --images)")
    parser.add_argument("--dev-referring", type=Path, metavar="R.json", help="expressions to measure P@0.5 on")
    parser.add_argument("--budget-steps", type=int, required=True, metavar="N", help="steps of each arm, all stages")
    parser.add_argument("--limit", type=int, default=0, metavar="N", help="at most N dev pictures; 0: all")
    parser.add_argument("--init", type=Path, metavar="FOLDER", help="common start (default: the COCO-trained detector)")
    parser.add_argument("--preset", default="nano", help="preset that the arms change (default: nano)")
    parser.add_argument("--out", type=Path, required=True, metavar="T.json", help="report; a table goes to T.md")
    parser.add_argument("--runs", type=Path, metavar="DIR", help="the arms' runs, resumable (default: T.runs)")
    add_settings(parser, RuntimeConfig, _RUNTIME)
    add_settings(parser, TrainConfig, _LEARNING)


def run(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.markdown import Markdown

    from vision_llm_ros.evaluation.ablation import ablate, markdown

    _check_writable(args.out)
    report = ablate(args.name, _options(args), _progress)
    report["command"] = " ".join(["vision-llm", *sys.argv[1:]])
    table = markdown(report)
    args.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    args.out.with_suffix(".md").write_text(table, encoding="utf-8")
    Console().print(Markdown(table))
    return 1 if any(arm["error"] for arm in report["arms"]) else 0


def _options(args: argparse.Namespace) -> AblationOptions:
    from vision_llm_ros.evaluation.ablation import AblationOptions

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
        init=args.init,
        model=load_preset(args.preset),
        train=given_settings(args, TrainConfig, _LEARNING),
        runtime=given_settings(args, RuntimeConfig, _RUNTIME),
    )


def _check_writable(path: Path) -> None:
    """Raise `ConfigError` before hours of learning rather than after."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise ConfigError(f"--out: cannot write {path}: {error.strerror}") from error


def _progress(title: str, steps: int) -> Callable[[int, dict[str, float]], None]:
    from tqdm import tqdm

    bar: Any = tqdm(total=steps, desc=title, unit="step")

    def advance(step: int, parts: dict[str, float]) -> None:
        bar.update(1)
        if bar.n >= steps:
            bar.close()

    return advance
