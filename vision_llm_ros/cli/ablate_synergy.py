"""`vision-llm ablate synergy`: signals to two modules, learnt with and without an adversary, and measured."""

from __future__ import annotations

import argparse
import json
import sys

from vision_llm_ros.cli.options import given_settings
from vision_llm_ros.config import RuntimeConfig, SynergyConfig
from vision_llm_ros.errors import ConfigError
from vision_llm_ros.resources import load_preset, weights_path

TEXT = "signals to detection and referring masks, with and without an adversary on what they share"
SEEDS = 3
_LEARNING = ("batch_size", "learning_rate", "seed")


def run(args: argparse.Namespace) -> int:
    """Learn and measure by the arguments of `ablate`; the report goes to --out, a table beside it.

    Raises:
        ConfigError: expressions to learn or to measure on are missing.
    """
    from vision_llm_ros.evaluation.synergy import compare, markdown
    from vision_llm_ros.model import weights
    from vision_llm_ros.model.pyramid import MobileNetV2Pyramid
    from vision_llm_ros.model.text import TextEncoder
    from vision_llm_ros.runtime.hardware import set_threads
    from vision_llm_ros.training.synergy import read_asked

    if not args.referring or args.dev_referring is None:
        raise ConfigError("synergy asks for masks: name expressions by --referring R.json and --dev-referring R.json")
    set_threads(given_settings(args, RuntimeConfig, ("threads",)))
    preset = load_preset(args.preset)
    backbone = MobileNetV2Pyramid().eval()
    folder = args.init or weights_path() / preset.name
    named = {f"backbone.{key}": value for key, value in backbone.state_dict().items()}
    weights.fill(named, weights.load(folder, ("backbone",)), str(folder))
    encoder = TextEncoder(preset.text_encoder, preset.text_revision).eval()
    config = given_settings(args, SynergyConfig, _LEARNING, steps=args.budget_steps)
    seen = (backbone, encoder)
    learnt = read_asked(args.annotations, args.images, args.referring[0], *seen, args.pictures, config.seed)
    dev_images = args.dev_images or args.images
    dev = read_asked(args.dev_annotations, dev_images, args.dev_referring, *seen, args.limit, config.seed)
    report = compare(config, learnt, dev, SEEDS, print)
    report["command"] = " ".join(["vision-llm", *sys.argv[1:]])
    args.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    args.out.with_suffix(".md").write_text(markdown(report), encoding="utf-8")
    print(markdown(report))
    return 0
