"""Whole sentences as operators would type them, by a writer who knew neither the grammar nor the learnt phrasings.

A line of `phrasings/exam.txt` and `final_exam.txt` names the modules in order, alternatives with a bar, and after a
tab the sentence; headings tell its kind. By the first we choose, on the second we only report.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from vision_llm_ros import language
from vision_llm_ros.evaluation.paraphrasing import Watched, kinds, outcome, shares, spread
from vision_llm_ros.evaluation.routing import MISSES_KEPT, REFUSE
from vision_llm_ros.interfaces import SentenceRouter, Task, TaskSpec
from vision_llm_ros.language.invocation import MODULES, REFUSED
from vision_llm_ros.language.parser import CommandParser
from vision_llm_ros.language.plan import Planner
from vision_llm_ros.language.routing import RoutedParser, kinds_of

_FOLDER = Path(language.__file__).parent / "phrasings"
_SAME_TASK = {"count": "answer", "describe": "caption", "when": "recall", "passed": "recall", "remove": "inpaint"}


@dataclass(frozen=True)
class Question:
    """A sentence and, for each of its tasks in order, the tasks that would be right; ("refuse",) for a refusal."""

    text: str
    kind: str
    tasks: tuple[frozenset[str], ...]

    @property
    def refused(self) -> bool:
        return REFUSE in self.tasks[-1]


def read_exam(name: str) -> tuple[Question, ...]:
    """The sentences of one of `utterances.EXAMS`."""
    questions, kind = [], ""
    for line in (_FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            kind = line[2:]
        else:
            modules, text = line.split("\t")
            questions.append(Question(text, kind, tuple(map(_tasks, modules.split(", ")))))
    return tuple(questions)


def examine(
    grammar: CommandParser, router: SentenceRouter, name: str, limit: int = 0, quiet: bool = False
) -> dict[str, Any]:
    """Read an exam with grammar and language model, and with the grammar alone.

    Args:
        limit: so many sentences from its beginning; 0 for all.
    """
    questions = read_exam(name)[: limit or None]
    watched = Watched(router)
    parse, alone = RoutedParser(grammar, watched).parse, Planner(grammar.parse).parse
    given = [watched.outcome(parse, item.text) for item in tqdm(questions, desc="exam", unit="sentence", disable=quiet)]
    right = [is_right(item, spec) for item, spec in zip(questions, given, strict=True)]
    marks: dict[str, list[bool]] = defaultdict(list)
    for item, mark in zip(questions, right, strict=True):
        marks[item.kind].append(mark)
    return {
        **_compared(questions, given),
        "sentences": len(questions),
        "split": name,
        "kinds": {kind: round(float(np.mean(some)), 3) for kind, some in marks.items()},
        "asked": len(watched.took_ms),
        "asked_ms": spread(watched.took_ms),
        "baselines": {"grammar": _compared(questions, [outcome(alone, item.text) for item in questions])},
        "misses": [
            {"text": item.text, "wanted": _told(item), "given": ", ".join(kinds(spec))}
            for item, spec, mark in zip(questions, given, right, strict=True)
            if not mark
        ][:MISSES_KEPT],
    }


def is_right(item: Question, given: TaskSpec | str) -> bool:
    """Whether the tasks are right, in order; of a sentence with a refused part, whether it was refused."""
    if isinstance(given, str) or item.refused:
        return given == REFUSE and item.refused
    found = [names for step in given.steps for names in _names(step)]
    return len(found) == len(item.tasks) and all(map(frozenset.intersection, item.tasks, found))


def _names(step: TaskSpec) -> list[frozenset[str]]:
    """The task of a step after that of its restoration, if any; one definite thing is found alike by two tasks."""
    (kind,) = kinds_of(step)
    restored, _, task = kind.rpartition(">")
    also = {Task.DETECT.value} if step.task is Task.DETECT else set()
    return [*([frozenset({restored})] if restored else []), frozenset({task.removeprefix("restore "), *also})]


def _tasks(modules: str) -> frozenset[str]:
    """The tasks of modules with bars between them.

    Raises:
        ValueError: one is no module.
    """
    names = modules.split("|")
    if unknown := set(names) - set(MODULES):
        raise ValueError(f"Expected modules, got {', '.join(sorted(unknown))}")
    return frozenset(REFUSE if name.startswith(REFUSED) else _SAME_TASK.get(name, name) for name in names)


def _compared(questions: tuple[Question, ...], given: list[TaskSpec | str]) -> dict[str, Any]:
    right = [(REFUSE,) if item.refused else (_told(item),) for item in questions]
    got = [
        wanted if is_right(item, spec) else kinds(spec)
        for item, spec, wanted in zip(questions, given, right, strict=True)
    ]
    return shares(right, got)


def _told(item: Question) -> str:
    return ", ".join("|".join(sorted(names)) for names in item.tasks)
