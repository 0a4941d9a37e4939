"""`vision-llm train match`: ITM of the Q-Former on hard pairs of the whole set."""

from __future__ import annotations

import argparse

from vision_llm_ros.cli import train_align
from vision_llm_ros.cli.options import add_settings, given_settings
from vision_llm_ros.config import PairConfig
from vision_llm_ros.errors import ConfigError

HELP = "matching of pairs (ITM) on hard negatives, after `train align`"
_DESCRIPTION = (
    "Learn to tell pairs from hard negatives: likely ones among all pictures and captions, and captions with one word "
    "exchanged. Only ITM learns. Starts from a run of `train align`."
)
export = train_align.export


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = _DESCRIPTION
    train_align.add_data(parser)
    add_settings(parser.add_argument_group("learning"), PairConfig, train_align.learning(PairConfig))


def run(args: argparse.Namespace) -> int:
    from vision_llm_ros.training.blip_run import amend, start_from
    from vision_llm_ros.training.calibrate import calibrate_match, calibrated, keep
    from vision_llm_ros.training.pairs import PairData, PairTrainer, remember
    from vision_llm_ros.training.weigh import weigh

    if args.init is None:
        raise ConfigError("train match starts from an earlier stage; name its run: --init RUN")
    train = given_settings(args, PairConfig, train_align.learning(PairConfig))
    model, blip = train_align.build(args, train_align.network(args), train)
    blip.eval()
    data = train_align.read_data(args, model, blip)
    pairs = PairData(blip, data, train.hardest)
    remember(blip, pairs)
    trainer = PairTrainer(blip, pairs, train, args.out, model.device)
    train_align.follow(args, "match", blip.config, train, trainer)
    start_from(blip, args.out)
    values = calibrated(args.init)
    if args.held_out:
        weigh(blip, data)
        amend(args.out, blip)
        values |= calibrate_match(blip, data)
    keep(args.out, values)
    return 0
