"""`vision-llm train caption`: stage 2 of the Q-Former, and what it shares with `train instruct`."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from vision_llm_ros.cli import train_align
from vision_llm_ros.cli.options import add_settings, given_settings
from vision_llm_ros.cli.progress import followed
from vision_llm_ros.config import InstructConfig, PromptConfig
from vision_llm_ros.errors import ConfigError

if TYPE_CHECKING:
    from vision_llm_ros.training.answer_start import AnswerVectorTrainer
    from vision_llm_ros.training.question_data import Question

HELP = "captions by the frozen language model, stage 2 of the Q-Former"
_DESCRIPTION = (
    "Learn the soft prompt by which the frozen language model tells captions. Starts from a run of `train align`."
)
export = train_align.export


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = _DESCRIPTION
    add_prompted(parser, PromptConfig)


def add_prompted(parser: argparse.ArgumentParser, settings: type[PromptConfig]) -> None:
    """The options of both stages that prompt the language model."""
    train_align.add_data(parser)
    parser.add_argument("--llm-layers", type=int, default=0, metavar="N", help="that write; 0: all (default: 0)")
    parser.add_argument("--deaf", action="store_true", help="the queries do not read the instruction (ablation)")
    add_settings(parser.add_argument_group("learning"), settings, train_align.learning(settings))


def run(args: argparse.Namespace) -> int:
    train(args, "caption", given_settings(args, PromptConfig, train_align.learning(PromptConfig)), [])
    return 0


def train(args: argparse.Namespace, stage: str, config: PromptConfig, questions: list[Question]) -> None:
    """Learn a stage that prompts the language model.

    Raises:
        ConfigError: there is no run to start from.
    """
    from vision_llm_ros.model.prompt_writer import PromptWriter
    from vision_llm_ros.training.answer_start import AnswerVectorTrainer
    from vision_llm_ros.training.blip_run import config_of
    from vision_llm_ros.training.calibrate import calibrate_presence, calibrated, keep
    from vision_llm_ros.training.loop import CHECKPOINT
    from vision_llm_ros.training.prompted import PromptData, PromptTrainer

    train_align.check_free(args)
    if args.init is None:
        raise ConfigError(f"train {stage} starts from an earlier stage; name its run: --init RUN")
    network = dataclasses.replace(config_of(args.init), llm_layers=args.llm_layers, text_input=not args.deaf)
    model, blip = train_align.build(args, network, config)
    data = train_align.read_data(args, model, blip)
    writer = PromptWriter(model.llm, network.llm_layers, network.tags).to(model.device)
    prompts = PromptData(data, writer, model.llm, questions, config.captions_a_picture)
    if isinstance(config, InstructConfig) and config.answer_steps and not (args.out / CHECKPOINT).is_file():
        _start(AnswerVectorTrainer(blip, writer, model.llm, prompts, config, args.out / "answers", model.device), args)
    trainer = PromptTrainer(stage, blip, writer, model.llm, prompts, config, Path(args.out), model.device)
    train_align.follow(args, stage, network, config, trainer)
    values = calibrated(args.init)
    if questions and args.held_out:
        values |= calibrate_presence(model, data, questions)
    keep(args.out, values)


def _start(trainer: AnswerVectorTrainer, args: argparse.Namespace) -> None:
    """See `answer_start`, with a progress bar."""
    from vision_llm_ros.training.answer_start import start_answers

    trainer.resume()
    with followed(trainer, "answers", ("words",), args.quiet) as progress:
        start_answers(trainer, progress)
