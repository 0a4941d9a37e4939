"""`vision-llm train instruct`: captions and answers together (InstructBLIP)."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from vision_llm_ros.cli import train_align, train_caption
from vision_llm_ros.cli.options import given_settings
from vision_llm_ros.config import PromptConfig

HELP = "captions and answers together, instruction tuning of the Q-Former"
_DESCRIPTION = (
    "Learn answers beside captions: questions about presence, count, side and colour are derived from COCO instances. "
    "Starts from a run of `train caption`."
)
_SHARE = 0.5
export = train_align.export


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = _DESCRIPTION
    parser.add_argument("--annotations", type=Path, required=True, metavar="A.json", help="COCO instances to ask about")
    train_caption.add_prompted(parser)


def run(args: argparse.Namespace) -> int:
    from vision_llm_ros.training.datasets import load_instances
    from vision_llm_ros.training.question_data import make_questions, measure_colours

    config = given_settings(args, PromptConfig, train_align.learning(PromptConfig))
    if args.answer_share is None:
        config = dataclasses.replace(config, answer_share=_SHARE)
    dataset = load_instances(args.annotations, args.images)
    questions = make_questions(dataset, measure_colours(dataset), config.seed)
    train_caption.train(args, "instruct", config, questions)
    return 0
