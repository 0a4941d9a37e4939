"""`vision-llm train align`: stage 1 of the Q-Former, pictures and sentences find each other."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vision_llm_ros.cli.options import add_settings, given_settings
from vision_llm_ros.cli.progress import followed
from vision_llm_ros.config import AlignConfig, LoopConfig, QFormerConfig, RuntimeConfig
from vision_llm_ros.errors import ConfigError
from vision_llm_ros.resources import load_preset, weights_path

if TYPE_CHECKING:
    from vision_llm_ros.model.blip import Blip
    from vision_llm_ros.model.detector import VisionLLM
    from vision_llm_ros.model.weights import Manifest
    from vision_llm_ros.training.align_data import AlignData
    from vision_llm_ros.training.loop import Loop

HELP = "matching of pictures and sentences, stage 1 of the Q-Former"
_DESCRIPTION = (
    "Learn to match pictures and sentences from captions (ITC, ITM and ITG). The pyramid, the detector and the text "
    "encoder stay as they are; what they make of the pictures and sentences is computed once and kept in --features."
)
RUNTIME = ("device", "threads", "weights")
_NETWORK = tuple(
    entry.name for entry in dataclasses.fields(QFormerConfig) if entry.name not in ("name", "tags", "llm_layers")
)


def learning(settings: type) -> tuple[str, ...]:
    """The options of a stage: all its settings but the optimizer's momenta, which are not for tuning."""
    return tuple(entry.name for entry in dataclasses.fields(settings) if entry.name != "betas")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = _DESCRIPTION
    add_data(parser)
    add_settings(parser.add_argument_group("network"), QFormerConfig, _NETWORK)
    add_settings(parser.add_argument_group("learning"), AlignConfig, learning(AlignConfig))


def add_data(parser: argparse.ArgumentParser) -> None:
    """What every stage reads and where it writes."""
    parser.add_argument("--captions", type=Path, required=True, metavar="C.json", help="COCO captions")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="pictures are DIR/file_name")
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the run")
    parser.add_argument("--features", type=Path, metavar="DIR", help="keeps what is frozen (default: RUN/features)")
    parser.add_argument(
        "--held-out", type=int, default=0, metavar="N", help="pictures to calibrate on, not learnt from (default: 0)"
    )
    parser.add_argument("--init", type=Path, metavar="RUN", help="start from a run or a weights folder")
    parser.add_argument("--preset", default="nano", help="preset of the trained detector (default: nano)")
    parser.add_argument("--resume", action="store_true", help="continue from the run's last checkpoint")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    add_settings(parser, RuntimeConfig, RUNTIME)


def run(args: argparse.Namespace) -> int:
    from vision_llm_ros.training.align import AlignTrainer
    from vision_llm_ros.training.blip_run import amend, start_from
    from vision_llm_ros.training.calibrate import calibrate_match, keep
    from vision_llm_ros.training.scene_fit import fit_tags

    train = given_settings(args, AlignConfig, learning(AlignConfig))
    model, blip = build(args, network(args), train)
    data = read_data(args, model, blip)
    if not args.init:
        blip = _with_scene(blip, model, data)
    follow(args, "align", blip.config, train, AlignTrainer(blip, data, train, args.out, model.device))
    start_from(blip, args.out)
    fit_tags(blip, data)
    amend(args.out, blip)
    if args.held_out:
        keep(args.out, calibrate_match(blip, data))
    return 0


def _with_scene(blip: Blip, model: VisionLLM, data: AlignData) -> Blip:
    """The same network with the words of these captions, its scene fitted."""
    from vision_llm_ros.model.blip import Blip
    from vision_llm_ros.training.scene_fit import fit_scene, frequent_words

    told = Blip(dataclasses.replace(blip.config, tags=frequent_words(data)), model)
    told.image.load_state_dict(blip.image.state_dict())
    fit_scene(told, data)
    return told.to(model.device)


def network(args: argparse.Namespace) -> QFormerConfig:
    """The network asked for, or that of `--init`."""
    from vision_llm_ros.training.blip_run import config_of

    check_free(args)
    if args.init:
        return config_of(args.init)
    return given_settings(args, QFormerConfig, _NETWORK)


def check_free(args: argparse.Namespace) -> None:
    """Raise `ConfigError` where a run would be overwritten."""
    from vision_llm_ros.training.loop import CHECKPOINT

    if (args.out / CHECKPOINT).is_file() and not args.resume:
        raise ConfigError(f"{args.out} already holds a run; add --resume, or name another --out")


def build(args: argparse.Namespace, config: QFormerConfig, train: LoopConfig) -> tuple[VisionLLM, Blip]:
    """The trained detector and the Q-Former around it, on their device."""
    import torch

    from vision_llm_ros.model.blip import Blip
    from vision_llm_ros.runtime.engine import load_model
    from vision_llm_ros.runtime.hardware import choose_device, set_threads
    from vision_llm_ros.training.blip_run import start_from

    runtime = given_settings(args, RuntimeConfig, RUNTIME)
    device = choose_device(runtime.device)
    set_threads(runtime)
    preset = load_preset(args.preset)
    model, _ = load_model(Path(runtime.weights) if runtime.weights else weights_path() / preset.name, preset)
    model.requires_grad_(False).eval().to(device)
    torch.manual_seed(train.seed)
    blip = Blip(config, model)
    if args.init:
        start_from(blip, args.init)
    return model, blip.to(device)


def read_data(args: argparse.Namespace, model: VisionLLM, blip: Blip) -> AlignData:
    """Captions with the frozen features of their pictures."""
    from vision_llm_ros.training.align_data import AlignData
    from vision_llm_ros.training.datasets import load_captions
    from vision_llm_ros.training.qformer_features import compute

    captions = load_captions(args.captions, args.images)
    for note in captions.notes:
        print(f"note: {note}", file=sys.stderr)
    folder = args.features or args.out / "features"
    features = compute(model, blip.image, captions.pictures, folder, fit=not args.init)
    return AlignData(captions, features, model.text_encoder, folder, args.held_out)


def follow(args: argparse.Namespace, stage: str, config: QFormerConfig, train: LoopConfig, trainer: Loop[Any]) -> None:
    """Train with a progress bar."""
    from vision_llm_ros.training.run_folder import keep_settings

    trainer.resume()
    keep_settings(args.out, stage, config, train, _about(args))
    with followed(trainer, stage, trainer.parts, args.quiet) as progress:
        trainer.run(progress)
    print(f"{args.out}: done; next: vision-llm train export {args.out} --out WEIGHTS/qformer")


def _about(args: argparse.Namespace) -> dict[str, object]:
    """What the run learns from, for the notes that go with the weights."""
    from vision_llm_ros.evaluation.trial import machine_values
    from vision_llm_ros.model.weights import file_hash

    files = [path for path in (args.captions, getattr(args, "annotations", None)) if path]
    return {"files": {path.name: file_hash(path)[:12] for path in files}, "machine": machine_values()}


def export(source: Path, out: Path, notes: str) -> Manifest[QFormerConfig]:
    """See `blip_run.export`."""
    from vision_llm_ros.training import blip_run

    return blip_run.export(source, out, notes)
