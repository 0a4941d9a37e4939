"""`vision-llm eval route`: are sentences routed to the right tasks, your own or made-up ones of unlearnt wording."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from vision_llm_ros.config import ModelConfig, RuntimeConfig
from vision_llm_ros.evaluation.trial import Trial
from vision_llm_ros.interfaces import SentenceRouter
from vision_llm_ros.language.utterances import EXAMS, SPLITS
from vision_llm_ros.resources import load_preset, weights_path

COUNT = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--sentences", type=Path, metavar="S.jsonl", help='lines {"text", "task"}; default: made-up ones'
    )
    parser.add_argument(
        "--split",
        choices=(*SPLITS, *EXAMS),
        default="held_out",
        help="of made-up ones, or an exam of whole written sentences (default: held_out)",
    )
    parser.add_argument("--count", type=int, default=COUNT, metavar="N", help=f"made-up ones (default: {COUNT})")
    parser.add_argument("--no-similarity", action="store_true", help="without the text encoder's synonyms")
    parser.add_argument("--router", action="store_true", help="reads your own sentences after the grammar too")
    parser.add_argument("--model", default="nano", help="preset name or YAML file (default: nano)")
    parser.add_argument("--weights", metavar="FOLDER", help="folder of trained weights; empty: those of the package")


def route(args: argparse.Namespace, trial: Trial) -> tuple[dict[str, Any], list[Path]]:
    """Measure; the report's values and the files they come from.

    Raises:
        WeightsError: a router is wanted and there is none.
    """
    from vision_llm_ros.evaluation.paraphrasing import paraphrase
    from vision_llm_ros.evaluation.whole_sentences import examine
    from vision_llm_ros.language.parser import CommandParser
    from vision_llm_ros.language.plan import Planner
    from vision_llm_ros.language.routing import RoutedParser
    from vision_llm_ros.model.text import load_text_similarity

    similarity = None if args.no_similarity else load_text_similarity()
    grammar = CommandParser(similarity)
    if args.sentences is not None and not args.router:
        return _own_sentences(args, Planner(grammar.parse).parse), [args.sentences]
    router = load_router(load_preset(args.model), args.weights)
    if args.sentences is not None:
        return _own_sentences(args, RoutedParser(grammar, router).parse), [args.sentences]
    if args.split in EXAMS:
        return examine(grammar, router, args.split, args.limit, args.quiet), []
    count = args.limit or args.count
    return paraphrase(grammar, router, similarity, args.split, count, args.seed, args.quiet), []


def load_router(preset: ModelConfig, weights: str | None) -> SentenceRouter:
    """The router beside a language model of its own.

    Raises:
        WeightsError: there is none, or it is damaged.
    """
    from vision_llm_ros.model.llm import LanguageModel
    from vision_llm_ros.model.text import TextEncoder
    from vision_llm_ros.runtime.hardware import choose_device
    from vision_llm_ros.runtime.router import PART
    from vision_llm_ros.runtime.router import load_router as load

    folder = (Path(weights) if weights else weights_path() / preset.name) / PART
    runtime = RuntimeConfig()
    llm = LanguageModel(preset.llm, preset.llm_revision, preset.llm_layers)
    encoder = TextEncoder(preset.text_encoder, preset.text_revision).eval()
    device = choose_device(runtime.device)
    return load(folder, llm.to(device), encoder.to(device), runtime)


def _own_sentences(args: argparse.Namespace, parse: Any) -> dict[str, Any]:
    from tqdm import tqdm

    from vision_llm_ros.evaluation.routing import load_sentences, misses, routing_metrics
    from vision_llm_ros.evaluation.routing import route as route_one
    from vision_llm_ros.training.datasets import choose_some

    sentences = choose_some(load_sentences(args.sentences), args.limit, args.seed)
    progress = tqdm(sentences, desc="route", unit="sentence", disable=args.quiet)
    given = [route_one(parse, text) for text, _ in progress]
    wanted = [task for _, task in sentences]
    return {**routing_metrics(wanted, given), "sentences": len(sentences), "misses": misses(sentences, given)}
