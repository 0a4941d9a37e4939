"""`vision-llm eval region` and `eval edit`: is what is marked called by its name, and how well is a hole filled."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vision_llm_ros.evaluation.trial import Trial
    from vision_llm_ros.interfaces import Engine
    from vision_llm_ros.training.datasets import InstanceSet, Picture

Measured = tuple[dict[str, Any], list[Path]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--annotations", type=Path, required=True, metavar="A.json", help="COCO instances")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="pictures are DIR/file_name")


def region(args: argparse.Namespace, trial: Trial, load: Callable[[], Engine | None]) -> Measured:
    """Measure names of marked objects; the report's values and the files they come from."""
    from vision_llm_ros.evaluation import region_telling

    return _measured(args, trial, load, region_telling.region)


def edit(args: argparse.Namespace, trial: Trial, load: Callable[[], Engine | None]) -> Measured:
    """Measure the filling of holes; the report's values and the files they come from."""
    from vision_llm_ros.evaluation import editing

    return _measured(args, trial, load, editing.edit)


def _measured(
    args: argparse.Namespace,
    trial: Trial,
    load: Callable[[], Engine | None],
    measure: Callable[[Trial, InstanceSet, list[Picture]], dict[str, Any]],
) -> Measured:
    from vision_llm_ros.training.datasets import choose_some, load_instances

    dataset = load_instances(args.annotations, args.images)
    for note in dataset.notes:
        trial.notes.add(note)
    trial.engine = load()
    return measure(trial, dataset, choose_some(dataset.pictures, args.limit, args.seed)), [args.annotations]
