"""`vision-llm ablate synergy` and `ablate region`: small networks on the frozen pyramid, learnt in several ways."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vision_llm_ros.cli.arm_report import write_report
from vision_llm_ros.cli.options import given_settings
from vision_llm_ros.config import RegionConfig, RuntimeConfig, SynergyConfig
from vision_llm_ros.errors import ConfigError
from vision_llm_ros.resources import load_preset, weights_path

if TYPE_CHECKING:
    from vision_llm_ros.model.pyramid import MobileNetV2Pyramid
    from vision_llm_ros.model.text import TextEncoder

NAMES = {
    "synergy": "signals to detection and referring masks, with and without an adversary on what they share",
    "region": "names of regions by their token, by parts of it, by the whole picture, by their place alone",
}
SEEDS = 3
_LEARNING = ("batch_size", "learning_rate", "seed")


def run(args: argparse.Namespace) -> int:
    """Learn and measure by the arguments of `ablate`; the report goes to --out, a table beside it.

    Raises:
        ConfigError: expressions to learn or to measure on are missing.
    """
    from vision_llm_ros.evaluation.seeds import markdown
    from vision_llm_ros.runtime.hardware import set_threads

    set_threads(given_settings(args, RuntimeConfig, ("threads",)))
    report = _synergy(args, *_frozen(args)) if args.name == "synergy" else _region(args)
    write_report(args.out, report, markdown(report))
    print(markdown(report))
    return 0


def _frozen(args: argparse.Namespace) -> tuple[MobileNetV2Pyramid, TextEncoder]:
    from vision_llm_ros.model import weights
    from vision_llm_ros.model.pyramid import MobileNetV2Pyramid
    from vision_llm_ros.model.text import TextEncoder

    preset = load_preset(args.preset)
    backbone = MobileNetV2Pyramid().eval()
    folder: Path = args.init or weights_path() / preset.name
    named = {f"backbone.{key}": value for key, value in backbone.state_dict().items()}
    weights.fill(named, weights.load(folder, ("backbone",)), str(folder))
    return backbone, TextEncoder(preset.text_encoder, preset.text_revision).eval()


def _synergy(args: argparse.Namespace, backbone: MobileNetV2Pyramid, encoder: TextEncoder) -> dict[str, Any]:
    from vision_llm_ros.evaluation.synergy import compare
    from vision_llm_ros.training.synergy import read_asked

    if not args.referring or args.dev_referring is None:
        raise ConfigError("synergy asks for masks: name expressions by --referring R.json and --dev-referring R.json")
    config = given_settings(args, SynergyConfig, _LEARNING, steps=args.budget_steps)
    seen = (backbone, encoder)
    learnt = read_asked(args.annotations, args.images, args.referring[0], *seen, args.pictures, config.seed)
    dev_images = args.dev_images or args.images
    dev = read_asked(args.dev_annotations, dev_images, args.dev_referring, *seen, args.limit, config.seed)
    return compare(config, learnt, dev, SEEDS, print)


def _region(args: argparse.Namespace) -> dict[str, Any]:
    from vision_llm_ros.evaluation.region_naming import compare
    from vision_llm_ros.runtime.engine import load_model
    from vision_llm_ros.training.region_naming import read_regions

    config = given_settings(args, RegionConfig, _LEARNING, steps=args.budget_steps)
    preset = load_preset(args.preset)
    model, _ = load_model(args.init or weights_path() / preset.name, preset)
    learnt = read_regions(args.annotations, args.images, model.eval(), args.pictures, config.seed)
    dev = read_regions(args.dev_annotations, args.dev_images or args.images, model, args.limit, config.seed)
    return compare(config, learnt, dev, SEEDS, print)
