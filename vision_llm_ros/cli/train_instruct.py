"""`vision-llm train instruct`: captions and answers together (InstructBLIP)."""

from __future__ import annotations

import argparse
from pathlib import Path

from vision_llm_ros.cli import train_align, train_caption
from vision_llm_ros.cli.options import given_settings
from vision_llm_ros.config import InstructConfig

HELP = "captions and answers together, instruction tuning of the Q-Former"
_DESCRIPTION = (
    "Learn answers beside captions: questions about presence, count, side and colour are derived from COCO instances. "
    "First it is found what the language model reads as an answer, and a projection fitted that says it. Starts from a "
    "run of `train caption`."
)
export = train_align.export


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = _DESCRIPTION
    parser.add_argument("--annotations", type=Path, required=True, metavar="A.json", help="COCO instances to ask about")
    train_caption.add_prompted(parser, InstructConfig)


def run(args: argparse.Namespace) -> int:
    from vision_llm_ros.training.datasets import load_instances
    from vision_llm_ros.training.question_data import make_questions, measure_colours

    config = given_settings(args, InstructConfig, train_align.learning(InstructConfig))
    dataset = load_instances(args.annotations, args.images)
    questions = make_questions(dataset, measure_colours(dataset), config.seed)
    train_caption.train(args, "instruct", config, questions)
    return 0
