"""Examine many recordings, one after the other or spread over Ray; a damaged one is named and the rest goes on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from vision_llm_ros.config import RuntimeConfig
from vision_llm_ros.errors import ConfigError, VisionLLMError
from vision_llm_ros.evaluation.bags import RecordedImage
from vision_llm_ros.evaluation.commands_file import TimedCommand
from vision_llm_ros.evaluation.exam import ExamOptions, examine
from vision_llm_ros.evaluation.replay import Sink
from vision_llm_ros.evaluation.replay_report import summary_page, write_json, write_report
from vision_llm_ros.interfaces import Engine
from vision_llm_ros.runtime.scheduler import Parser

logger = logging.getLogger(__name__)
Progress = Callable[[Iterable[RecordedImage], int], Iterable[RecordedImage]]
Loader = Callable[[str, RuntimeConfig], tuple[Engine, Parser]]


@dataclass(frozen=True)
class Job:
    """One recording to examine; everything in it can be sent to another machine."""

    recording: Path
    out: Path
    commands: tuple[TimedCommand, ...]
    faults: tuple[str, ...]
    options: ExamOptions
    model: str = "nano"
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)


def examine_one(
    job: Job, engine: Engine, parse: Parser, others: tuple[Sink, ...] = (), progress: Progress | None = None
) -> dict[str, Any]:
    """Examine and write the report; a recording that cannot be read gives {recording, error}."""
    try:
        exam = examine(
            job.recording,
            job.out,
            engine,
            parse,
            list(job.commands),
            job.options,
            faults=job.faults,
            others=others,
            progress=progress or (lambda images, _: images),
        )
        write_report(exam, job.out)
    except VisionLLMError as error:
        return {"recording": str(job.recording), "error": str(error)}
    return exam.values


def examine_all(
    jobs: list[Job], engine: Engine, parse: Parser, progress: Progress | None = None
) -> list[dict[str, Any]]:
    """One after the other, with one engine."""
    return [examine_one(job, engine, parse, progress=progress) for job in jobs]


def examine_with_ray(jobs: list[Job], loader: Loader | None = None) -> list[dict[str, Any]]:
    """Spread over the Ray cluster of RAY_ADDRESS, or over this machine; each worker loads the model once.

    Args:
        loader: (model, runtime) -> engine and parser, run in the workers; None is `load`.
    Raises:
        ConfigError: ray is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise ConfigError("--ray needs Ray, which is not installed: pip install ray") from error
    ray.init(ignore_reinit_error=True, log_to_driver=False)
    remote = ray.remote(_in_worker)
    pending = {remote.remote(job, loader or load): job for job in jobs}
    outcomes: list[dict[str, Any]] = []
    for reference, job in pending.items():
        try:
            outcomes.append(ray.get(reference))
        # A worker that died takes down its recording, not the others.
        except Exception as error:
            outcomes.append({"recording": str(job.recording), "error": f"{type(error).__name__}: {error}"})
    return outcomes


def write_summary(outcomes: list[dict[str, Any]], out: Path) -> None:
    """summary.json and summary.html over all recordings."""
    write_json(out / "summary.json", {"recordings": outcomes})
    summary_page(outcomes).write(out / "summary.html")


def load(model: str, runtime: RuntimeConfig) -> tuple[Engine, Parser]:
    """The engine, warmed up, and the command parser with the text encoder's similarity."""
    from vision_llm_ros.language.parser import CommandParser
    from vision_llm_ros.model.text import load_text_similarity
    from vision_llm_ros.runtime.engine import load_engine
    from vision_llm_ros.runtime.router import parser_for

    engine = load_engine(model, runtime)
    engine.warm_up()
    return engine, parser_for(engine, CommandParser(load_text_similarity()))


@lru_cache(maxsize=1)
def _load_once(loader: Loader, model: str, runtime: RuntimeConfig) -> tuple[Engine, Parser]:
    return loader(model, runtime)


def _in_worker(job: Job, loader: Loader) -> dict[str, Any]:
    return examine_one(job, *_load_once(loader, job.model, job.runtime))
