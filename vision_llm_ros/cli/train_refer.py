"""`vision-llm train refer`: referring masks, and their export."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vision_llm_ros.cli.options import add_settings, given_settings
from vision_llm_ros.cli.progress import followed
from vision_llm_ros.config import MaskConfig, MaskTrainConfig, RuntimeConfig
from vision_llm_ros.errors import ConfigError
from vision_llm_ros.resources import load_preset, weights_path

if TYPE_CHECKING:
    from vision_llm_ros.model.detector import VisionLLM
    from vision_llm_ros.model.weights import Manifest
    from vision_llm_ros.training.refer import ReferTrainer
    from vision_llm_ros.training.refer_data import ReferData

HELP = "referring masks"
_LEARNING = tuple(entry.name for entry in dataclasses.fields(MaskTrainConfig) if entry.name != "betas")
_NETWORK = tuple(entry.name for entry in dataclasses.fields(MaskConfig) if entry.name != "name")
_RUNTIME = ("device", "dtype", "threads", "weights")
_DESCRIPTION = (
    "Learn to mark what a sentence means, any number of objects, in two stages: 1 what phrases mean among the "
    "candidates of a picture (cheap: no language model, no masks), 2 everything. Stage 2 starts from a run of stage 1 "
    "named by --init. Pyramid, text encoder, detector and language model stay as they are."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = _DESCRIPTION
    parser.add_argument("--annotations", type=Path, required=True, metavar="A.json", help="COCO instances")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="pictures are DIR/file_name")
    parser.add_argument("--referring", type=Path, nargs="+", default=[], metavar="R.json", help="referring expressions")
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the run")
    parser.add_argument("--init", type=Path, metavar="FOLDER", help="start from a run or a weights folder")
    parser.add_argument("--preset", default="nano", help="preset of the trained detector (default: nano)")
    parser.add_argument("--resume", action="store_true", help="continue from the run's last checkpoint")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    add_settings(parser, RuntimeConfig, _RUNTIME)
    add_settings(parser.add_argument_group("network"), MaskConfig, _NETWORK)
    add_settings(parser.add_argument_group("learning"), MaskTrainConfig, _LEARNING)


def run(args: argparse.Namespace) -> int:
    train = given_settings(args, MaskTrainConfig, _LEARNING)
    trainer = _trainer(args, train)
    trainer.resume()
    with followed(trainer, f"refer {train.stage}", trainer.parts, args.quiet) as progress:
        trainer.run(progress)
    onwards = f"train export {args.out} --out WEIGHTS/mask"
    print(f"{args.out}: done; next: vision-llm {onwards if train.stage == 2 else f'train refer --init {args.out} ...'}")
    return 0


def _trainer(args: argparse.Namespace, train: MaskTrainConfig) -> ReferTrainer:
    import torch

    from vision_llm_ros.model.pixel_lm import PixelLM
    from vision_llm_ros.runtime.hardware import choose_dtype
    from vision_llm_ros.training.loop import CHECKPOINT
    from vision_llm_ros.training.refer import ReferTrainer
    from vision_llm_ros.training.refer_run import SYSTEM, config_of, start
    from vision_llm_ros.training.run_folder import keep_settings

    if (args.out / CHECKPOINT).is_file() and not args.resume:
        raise ConfigError(f"{args.out} already holds a run; add --resume, or name another --out")
    shared = _shared(args)
    data = _data(args, shared, train)
    torch.manual_seed(train.seed)
    config = config_of(args.init) if args.init else given_settings(args, MaskConfig, _NETWORK)
    network = PixelLM(config, shared)
    start(network, shared, args.init)
    shared.to(network.to(shared.device).rows.device)
    keep_settings(args.out, SYSTEM, config, train, _about(args, data))
    return ReferTrainer(network, shared, data, train, args.out, choose_dtype(args.dtype or "auto", shared.device))


def _shared(args: argparse.Namespace) -> VisionLLM:
    """The trained detector, on its device."""
    from vision_llm_ros.runtime.engine import load_model
    from vision_llm_ros.runtime.hardware import choose_device, set_threads

    runtime = given_settings(args, RuntimeConfig, _RUNTIME)
    set_threads(runtime)
    preset = load_preset(args.preset)
    folder = Path(runtime.weights) if runtime.weights else weights_path() / preset.name
    return load_model(folder, preset)[0].to(choose_device(runtime.device))


def _data(args: argparse.Namespace, shared: VisionLLM, train: MaskTrainConfig) -> ReferData:
    from vision_llm_ros.training.refer_data import ReferData

    data = ReferData(shared.config, train, args.annotations, args.images, args.referring)
    for note in data.dataset.notes:
        print(f"note: {note}", file=sys.stderr)
    return data


def _about(args: argparse.Namespace, data: ReferData) -> dict[str, object]:
    """What the run learns from, for the notes that go with the weights."""
    from vision_llm_ros.evaluation.trial import machine_values
    from vision_llm_ros.model.weights import file_hash

    files = [args.annotations, *args.referring]
    return {
        "files": {path.name: file_hash(path)[:12] for path in files},
        "pictures": len(data.pictures),
        "pictures_with_outlines": len(data.outlined),
        "expressions": data.expressions,
        "machine": machine_values(),
    }


def export(source: Path, out: Path, notes: str) -> Manifest[MaskConfig]:
    """See `refer_run.export`."""
    from vision_llm_ros.training import refer_run

    return refer_run.export(source, out, notes)
