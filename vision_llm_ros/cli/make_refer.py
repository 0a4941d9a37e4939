"""`vision-llm make-refer --annotations A.json --images DIR --out R.json`: referring questions from instance masks."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vision_llm_ros.cli.options import add_settings, given_settings
from vision_llm_ros.errors import ConfigError, InputError
from vision_llm_ros.training.make_refer import MakeReferConfig, Question, class_name, make_questions

if TYPE_CHECKING:
    from vision_llm_ros.training.datasets import InstanceSet, Notes, Picture
    from vision_llm_ros.training.rephrase import Rephraser

HELP = "make referring questions and answers out of an instance-mask data set"
KEY = "VISION_LLM_API_KEY"
SHEET = 16
_SETTINGS = tuple(entry.name for entry in dataclasses.fields(MakeReferConfig))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--annotations", type=Path, required=True, metavar="A.json", help="COCO instances with masks")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="pictures are DIR/file_name")
    parser.add_argument("--out", type=Path, required=True, metavar="R.json", help="for `train refer` and `eval refer`")
    parser.add_argument("--limit", type=int, default=0, metavar="N", help="at most N pictures; 0: all")
    parser.add_argument("--preview", type=Path, metavar="P.png", help=f"draw {SHEET} of the questions with their masks")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    add_settings(parser, MakeReferConfig, _SETTINGS)
    words = parser.add_argument_group("in the words of a language model")
    words.add_argument("--llm-endpoint", metavar="URL", help="OpenAI-compatible, e.g. http://localhost:8000/v1")
    words.add_argument("--llm-model", default="", metavar="NAME", help="name of the model there")
    words.add_argument("--llm-key-env", default=KEY, metavar="VAR", help=f"variable with its key (default: {KEY})")
    words.add_argument("--llm-timeout-s", type=float, default=60.0, metavar="S", help="of one request (default: 60)")
    words.add_argument("--llm-parallel", type=int, default=4, metavar="N", help="requests at a time (default: 4)")


def run(args: argparse.Namespace) -> int:
    from vision_llm_ros.training.datasets import Notes, choose_some, load_instances

    config = given_settings(args, MakeReferConfig, _SETTINGS)
    rephraser = _rephraser(args)
    dataset = load_instances(args.annotations, args.images)
    pictures = choose_some([item for item in dataset.pictures if item.masks_complete], args.limit, config.seed)
    if not pictures:
        raise InputError(f"{args.annotations}: no picture whose objects all have masks")
    _check_writable(args.out)
    notes = Notes(list(dataset.notes))
    questions, whole = _collected(args, dataset, pictures, config, notes, rephraser)
    if not questions:
        raise InputError(f"{args.annotations}: nothing to ask about {len(pictures)} pictures")
    _write(args, config, questions, rephraser)
    for note in notes.lines():
        print(f"note: {note}", file=sys.stderr)
    print(_summary(args.out, questions, rephraser))
    if args.preview:
        _preview(args, dataset, config.seed)
    return 0 if whole else 130


def _rephraser(args: argparse.Namespace) -> Rephraser | None:
    from vision_llm_ros.training.chat import ChatEndpoint
    from vision_llm_ros.training.rephrase import Rephraser

    if not args.llm_endpoint:
        if args.llm_model:
            raise ConfigError(f"--llm-model {args.llm_model} needs --llm-endpoint URL")
        return None
    if args.llm_timeout_s <= 0 or not 1 <= args.llm_parallel <= 64:
        raise ConfigError(
            f"Expected --llm-timeout-s above 0 and --llm-parallel 1..64, got {args.llm_timeout_s}, {args.llm_parallel}"
        )
    key = os.environ.get(args.llm_key_env, "")
    return Rephraser(ChatEndpoint(args.llm_endpoint, args.llm_model, key, args.llm_timeout_s), args.llm_parallel)


def _collected(
    args: argparse.Namespace,
    dataset: InstanceSet,
    pictures: Sequence[Picture],
    config: MakeReferConfig,
    notes: Notes,
    rephraser: Rephraser | None,
) -> tuple[list[Question], bool]:
    """All questions, and whether that was not interrupted: what has been made until then is kept."""
    from tqdm import tqdm

    progress = tqdm(pictures, desc="make-refer", unit="picture", disable=args.quiet)
    made = (question for asked in make_questions(dataset, progress, config, notes) for question in asked)
    kept: list[Question] = []
    try:
        kept.extend(made) if rephraser is None else kept.extend(rephraser.run(_with_objects(made, dataset)))
    except KeyboardInterrupt:
        print(f"interrupted: the {len(kept)} questions made so far are written", file=sys.stderr)
        return kept, False
    return kept, True


def _with_objects(
    questions: Iterator[Question], dataset: InstanceSet
) -> Iterator[tuple[Question, list[dict[str, Any]]]]:
    """Each question with what its picture shows; boxes xyxy as fractions of the picture where its size is known."""
    sizes = {item.image_id: (max(item.width, 1), max(item.height, 1)) for item in dataset.pictures}
    objects: dict[int, list[dict[str, Any]]] = {}
    for item in dataset.instances:
        box = [round(value / sizes[item.image_id][axis % 2], 3) for axis, value in enumerate(item.box_xyxy_px)]
        said = {"class": class_name(dataset.categories[item.category_id]), "box": box}
        objects.setdefault(item.image_id, []).append(said)
    for question in questions:
        yield question, objects.get(question.image_id, [])


def _write(
    args: argparse.Namespace, config: MakeReferConfig, questions: list[Question], rephraser: Rephraser | None
) -> None:
    told = {"words": rephraser.endpoint.model, "outcome": dict(rephraser.counts)} if rephraser else {"words": "by rule"}
    info = {"description": "referring questions", "annotations": args.annotations.name, **told}
    values = {
        "info": info | {"settings": dataclasses.asdict(config)},
        "target": "mask",
        "expressions": [question.values(number) for number, question in enumerate(questions, 1)],
    }
    args.out.write_text(json.dumps(values, ensure_ascii=False) + "\n", encoding="utf-8")


def _summary(out: Path, questions: list[Question], rephraser: Rephraser | None) -> str:
    kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(item.kind for item in questions).most_common())
    targets = sum(len(item.annotation_ids) for item in questions)
    lines = [f"{out}: {len(questions)} questions, {targets} masks, {targets / len(questions):.1f} a question ({kinds})"]
    if rephraser is not None:
        lines.append("words: " + ", ".join(f"{count} {outcome}" for outcome, count in rephraser.counts.most_common()))
        lines += [f"the endpoint was given up: {rephraser.given_up}"] if rephraser.given_up else []
    return "\n".join(lines)


def _preview(args: argparse.Namespace, dataset: InstanceSet, seed: int) -> None:
    """Drawn from the written file, as training will read it."""
    from vision_llm_ros.evaluation.contact_sheet import referring_sheet
    from vision_llm_ros.runtime.pictures import write_picture
    from vision_llm_ros.training.datasets import load_expressions

    expressions, _ = load_expressions(args.out, dataset)
    write_picture(args.preview, referring_sheet(dataset, expressions, SHEET, seed))
    print(f"{args.preview}: {min(SHEET, len(expressions))} of them drawn")


def _check_writable(path: Path) -> None:
    """Fail before the work, not after it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("a", encoding="utf-8").close()
    except OSError as error:
        raise InputError(f"--out: cannot write {path}: {error.strerror}") from error
