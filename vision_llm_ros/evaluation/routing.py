"""Does a sentence become the right task: accuracy, refusal and the confusion table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vision_llm_ros.errors import CommandError, InputError
from vision_llm_ros.interfaces import Task, TaskSpec

REFUSE = "refuse"
FAILED = "error"
MISSES_KEPT = 50
LABELS = (*(str(task) for task in Task), REFUSE)


def load_sentences(path: Path) -> list[tuple[str, str]]:
    """Read JSON lines {"text": ..., "task": ...}; empty lines are passed over.

    Returns:
        (text, task) with task one of `LABELS`.
    Raises:
        InputError: unreadable, or a line is wrong; its number is named.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: bad byte at offset {error.start}") from error
    sentences = [_sentence(line, path, number) for number, line in enumerate(lines, 1) if line.strip()]
    if not sentences:
        raise InputError(f'{path} has no sentence; expected lines such as {{"text": "find dogs", "task": "detect"}}')
    return sentences


def route(parse: Callable[[str], TaskSpec], text: str) -> str:
    """The task a sentence is parsed into, "refuse" for a CommandError, "error" if the parser fails otherwise."""
    try:
        return str(parse(text).task)
    except CommandError:
        return REFUSE
    except Exception:
        return FAILED


def routing_metrics(wanted: Sequence[str], given: Sequence[str]) -> dict[str, Any]:
    """Compare tasks.

    Returns:
        accuracy over sentences to be served, refusal over those to be refused (None where there are none),
        per_task accuracy, and confusion {wanted: {given: count}} of the pairs that occur.
    """
    right = np.array([a == b for a, b in zip(wanted, given, strict=True)])
    refuse = np.array([label == REFUSE for label in wanted])
    confusion: dict[str, dict[str, int]] = {}
    for want, got in zip(wanted, given, strict=True):
        row = confusion.setdefault(want, {})
        row[got] = row.get(got, 0) + 1
    return {
        "accuracy": _share(right[~refuse]),
        "refusal": _share(right[refuse]),
        "per_task": {want: row.get(want, 0) / sum(row.values()) for want, row in sorted(confusion.items())},
        "confusion": {want: dict(sorted(row.items())) for want, row in sorted(confusion.items())},
    }


def misses(sentences: Sequence[tuple[str, str]], given: Sequence[str]) -> list[dict[str, str]]:
    """The first sentences that were taken for something else: text, task, given."""
    wrong = [(text, task, got) for (text, task), got in zip(sentences, given, strict=True) if task != got]
    return [{"text": text, "task": task, "given": got} for text, task, got in wrong[:MISSES_KEPT]]


def _share(right: Iterable[bool]) -> float | None:
    values = list(right)
    return float(np.mean(values)) if values else None


def _sentence(line: str, path: Path, number: int) -> tuple[str, str]:
    try:
        values = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"{path} line {number} column {error.colno} is not JSON: {error.msg}") from error
    if not isinstance(values, dict) or not isinstance(values.get("text"), str):
        raise InputError(f'{path} line {number}: expected {{"text": ..., "task": ...}}, got {line.strip()[:80]}')
    if values.get("task") not in LABELS:
        raise InputError(f"{path} line {number}: task {values.get('task')!r} is not one of {', '.join(LABELS)}")
    return values["text"], values["task"]
