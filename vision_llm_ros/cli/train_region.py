"""`vision-llm train region`: the token of a marked region learns what things are called."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from vision_llm_ros.cli.options import add_settings, given_settings
from vision_llm_ros.cli.progress import followed
from vision_llm_ros.config import RegionConfig, RegionTokenConfig, RuntimeConfig
from vision_llm_ros.errors import ConfigError
from vision_llm_ros.resources import load_preset, weights_path

if TYPE_CHECKING:
    from vision_llm_ros.model.weights import Manifest

HELP = "what a marked thing is called"
_LEARNING = tuple(entry.name for entry in dataclasses.fields(RegionConfig) if entry.name != "betas")
_RUNTIME = ("threads",)
_DESCRIPTION = (
    "Learn the token of a region from boxes and outlines: each object is marked by its outline, its box, a loose box "
    "and a point. The pyramid and the detector's anchors stay as they are; what they see is kept in RUN/regions.pt."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = _DESCRIPTION
    parser.add_argument("--annotations", type=Path, required=True, metavar="A.json", help="COCO instances")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="pictures are DIR/file_name")
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the run")
    parser.add_argument("--preset", default="nano", help="preset whose features are used (default: nano)")
    parser.add_argument("--init", type=Path, metavar="FOLDER", help="its weights (default: those of the package)")
    parser.add_argument("--limit", type=int, default=0, metavar="N", help="at most N pictures; 0: all")
    parser.add_argument("--resume", action="store_true", help="continue from the run's last checkpoint")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    add_settings(parser, RuntimeConfig, _RUNTIME)
    add_settings(parser.add_argument_group("learning"), RegionConfig, _LEARNING)


def run(args: argparse.Namespace) -> int:
    import torch

    from vision_llm_ros.evaluation.trial import machine_values
    from vision_llm_ros.model.region_token import RegionToken
    from vision_llm_ros.model.weights import file_hash
    from vision_llm_ros.runtime.engine import load_model
    from vision_llm_ros.runtime.hardware import set_threads
    from vision_llm_ros.training.loop import CHECKPOINT
    from vision_llm_ros.training.region_naming import Regions, read_regions
    from vision_llm_ros.training.region_run import SYSTEM, RegionTrainer, kept_regions
    from vision_llm_ros.training.run_folder import keep_settings

    train = given_settings(args, RegionConfig, _LEARNING)
    if (args.out / CHECKPOINT).is_file() and not args.resume:
        raise ConfigError(f"{args.out} already holds a run; add --resume, or name another --out")
    set_threads(given_settings(args, RuntimeConfig, _RUNTIME))
    preset = load_preset(args.preset)

    def read() -> Regions:
        model, _ = load_model(args.init or weights_path() / preset.name, preset)
        return read_regions(args.annotations, args.images, model.eval(), args.limit, train.seed, args.quiet)

    regions = kept_regions(args.out, read)
    torch.manual_seed(train.seed)
    token = RegionToken(regions.look.means.shape[1], regions.vocabulary.words.shape[1], train.hidden_width)
    trainer = RegionTrainer(token, regions, train, args.out)
    trainer.resume()
    files = {args.annotations.name: file_hash(args.annotations)[:12]}
    about = {"preset": args.preset, "files": files, "marks": len(regions.names), "machine": machine_values()}
    keep_settings(args.out, SYSTEM, RegionTokenConfig(hidden_width=train.hidden_width), train, about)
    with followed(trainer, "region", ("name",), args.quiet) as progress:
        trainer.run(progress)
    print(f"{args.out}: done; next: vision-llm train export {args.out} --out WEIGHTS/region")
    return 0


def export(source: Path, out: Path, notes: str) -> Manifest[RegionTokenConfig]:
    """See `region_run.export`."""
    from vision_llm_ros.training import region_run

    return region_run.export(source, out, notes)
