"""`vision-llm train route`: the language model learns to read sentences that the grammar does not know."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vision_llm_ros.cli.options import add_settings, given_settings
from vision_llm_ros.cli.progress import followed
from vision_llm_ros.config import RouterConfig, RouterTrainConfig, RuntimeConfig
from vision_llm_ros.errors import ConfigError
from vision_llm_ros.resources import load_preset

if TYPE_CHECKING:
    from vision_llm_ros.model.llm import LanguageModel
    from vision_llm_ros.model.text import TextEncoder
    from vision_llm_ros.model.weights import Manifest
    from vision_llm_ros.training.loop import Loop

HELP = "which modules a sentence calls"
_LEARNING = tuple(entry.name for entry in dataclasses.fields(RouterTrainConfig) if entry.name != "betas")
_NETWORK = tuple(entry.name for entry in dataclasses.fields(RouterConfig) if entry.name not in ("name", "threshold"))
_RUNTIME = ("device", "threads")
_DESCRIPTION = (
    "Learn which modules a sentence calls, with which of its words and where in the picture, from sentences that are "
    "made up as they are needed. No data is wanted. The language model stays as it is; its adapter learns."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = _DESCRIPTION
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the run")
    parser.add_argument("--preset", default="nano", help="preset whose language model learns (default: nano)")
    parser.add_argument("--resume", action="store_true", help="continue from the run's last checkpoint")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    add_settings(parser, RuntimeConfig, _RUNTIME)
    add_settings(parser.add_argument_group("network"), RouterConfig, _NETWORK)
    add_settings(parser.add_argument_group("learning"), RouterTrainConfig, _LEARNING)


def run(args: argparse.Namespace) -> int:
    import torch

    from vision_llm_ros.evaluation.trial import machine_values
    from vision_llm_ros.model.router_meaning import MeaningEncoder
    from vision_llm_ros.runtime.hardware import choose_device, set_threads
    from vision_llm_ros.training.loop import CHECKPOINT
    from vision_llm_ros.training.route import RouteTrainer, build
    from vision_llm_ros.training.route_meaning import MeaningTrainer
    from vision_llm_ros.training.route_run import MEANING
    from vision_llm_ros.training.run_folder import keep_settings

    config = given_settings(args, RouterConfig, _NETWORK)
    train = given_settings(args, RouterTrainConfig, _LEARNING)
    runtime = given_settings(args, RuntimeConfig, _RUNTIME)
    if (args.out / CHECKPOINT).is_file() and not args.resume:
        raise ConfigError(f"{args.out} already holds a run; add --resume, or name another --out")
    device = choose_device(runtime.device)
    set_threads(runtime)
    torch.manual_seed(train.seed)
    llm, encoder = _readers(args.preset, config.llm_layers)
    router = build(config, llm)
    ear = MeaningEncoder(encoder.to(device), config)
    keep_settings(args.out, "route", config, train, {"preset": args.preset, "machine": machine_values()})
    _learn(RouteTrainer(router.to(device), llm.to(device), ear, train, args.out, device), args.quiet)
    _learn(MeaningTrainer(ear, config, train, args.out / MEANING, device), args.quiet)
    print(f"{args.out}: done; next: vision-llm train export {args.out} --out WEIGHTS/router")
    return 0


def _learn(trainer: Loop[Any], quiet: bool) -> None:
    """Run a loop to its end, from its last checkpoint."""
    trainer.resume()
    with followed(trainer, trainer.folder.name, ("module",), quiet) as progress:
        trainer.run(progress)


def export(source: Path, out: Path, notes: str) -> Manifest[RouterConfig]:
    """See `route_run.export`."""
    from vision_llm_ros.training import route_run

    config, _, about = route_run.read_run(source)
    return route_run.export(source, out, *_readers(str(about["preset"]), config.llm_layers), notes)


def _readers(preset: str, layers: int) -> tuple[LanguageModel, TextEncoder]:
    """The frozen language model and text encoder of a preset."""
    from vision_llm_ros.model.llm import LanguageModel
    from vision_llm_ros.model.text import TextEncoder

    model = load_preset(preset)
    encoder = TextEncoder(model.text_encoder, model.text_revision).eval()
    return LanguageModel(model.llm, model.llm_revision, layers), encoder
