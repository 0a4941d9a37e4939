"""How well sentences of any wording are routed: grammar and language model together, alone, and beside baselines."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from vision_llm_ros.errors import CommandError
from vision_llm_ros.evaluation.routing import FAILED, MISSES_KEPT, REFUSE, routing_metrics
from vision_llm_ros.interfaces import SentenceRouter, TaskSpec, TextSimilarity
from vision_llm_ros.language import corpus
from vision_llm_ros.language.invocation import Invocation, read
from vision_llm_ros.language.parser import CommandParser
from vision_llm_ros.language.plan import Planner
from vision_llm_ros.language.routing import RoutedParser, command_of, kinds_of
from vision_llm_ros.language.utterances import Utterance, utterances

NEIGHBOURS_FROM = 3000
Kinds = tuple[str, ...]


def paraphrase(
    grammar: CommandParser,
    router: SentenceRouter,
    similarity: TextSimilarity | None,
    split: str,
    count: int,
    seed: int,
    quiet: bool = False,
) -> dict[str, Any]:
    """Route made-up sentences of a split and compare with what they were made to mean.

    A sentence is routed right if its tasks are right, in order; `exact` wants the same things, phrases and regions
    too. Sentences whose things the lexicon does not know are left out, as no reading could serve them.
    """
    planner = Planner(grammar.parse)
    drawn = [(item, wanted(planner, item)) for item in utterances(split, count, seed)]
    items = [(item, spec) for item, spec in drawn if spec is not None or item.refused]
    watched = Watched(router)
    parse = RoutedParser(grammar, watched).parse
    given = [watched.outcome(parse, item.text) for item, _ in tqdm(items, desc="route", unit="sentence", disable=quiet)]
    alone = [outcome(planner.parse, item.text) for item, _ in items]
    specs = [spec for _, spec in items]
    return {
        **compare(specs, given),
        "sentences": len(items),
        "left_out": len(drawn) - len(items),
        "split": split,
        "asked": len(watched.took_ms),
        "asked_ms": spread(watched.took_ms),
        "asked_cpu_ms": spread(watched.cpu_ms),
        "commands": _commands(grammar, router, count, seed),
        "baselines": {
            "grammar": compare(specs, alone),
            "language model alone": _alone(router, items),
            **({"nearest sentence": _nearest(similarity, items, seed)} if similarity is not None else {}),
            "majority": _majority(items),
        },
        "misses": _misses(items, given),
    }


class Watched:
    """A router and how long it took over each sentence it was asked about, milliseconds on the clock and of processor
    time; a sentence of several parts may be asked about more than once.
    """

    def __init__(self, router: SentenceRouter) -> None:
        self._router = router
        self._same = False
        self.took_ms: list[float] = []
        self.cpu_ms: list[float] = []

    def outcome(self, parse: Callable[[str], TaskSpec], text: str) -> TaskSpec | str:
        """See `outcome`, of one sentence."""
        self._same = False
        return outcome(parse, text)

    @property
    def threshold(self) -> float:
        return self._router.threshold

    def route(self, text: str) -> tuple[str, float]:
        if not self._same:
            self.took_ms.append(0.0)
            self.cpu_ms.append(0.0)
            self._same = True
        clock, processor = time.perf_counter(), time.process_time()
        try:
            return self._router.route(text)
        finally:
            self.took_ms[-1] += (time.perf_counter() - clock) * 1e3
            self.cpu_ms[-1] += (time.process_time() - processor) * 1e3


def _commands(grammar: CommandParser, router: SentenceRouter, count: int, seed: int) -> dict[str, Any]:
    """What the language model costs sentences that the grammar knows, and whether it does harm to them."""
    sentences = list(corpus.sentences("held_out", count, seed))
    planner, watched = Planner(grammar.parse), Watched(router)
    parse = RoutedParser(grammar, watched).parse
    given, alone, added_ms = [], [], []
    for sentence in sentences:
        started, asked = time.process_time(), len(watched.took_ms)
        alone.append(outcome(planner.parse, sentence.text))
        between = time.process_time()
        given.append(watched.outcome(parse, sentence.text))
        if len(watched.took_ms) == asked and isinstance(alone[-1], TaskSpec):
            added_ms.append((time.process_time() - 2 * between + started) * 1e3)
    right = [sentence.task for sentence in sentences]
    return {
        "sentences": len(sentences),
        "asked": len(watched.took_ms),
        "accuracy": routing_metrics(right, [_task(spec) for spec in given])["accuracy"],
        "grammar_accuracy": routing_metrics(right, [_task(spec) for spec in alone])["accuracy"],
        "added_cpu_ms": spread(added_ms),
    }


def _task(given: TaskSpec | str) -> str:
    return given if isinstance(given, str) else str(given.task)


def wanted(planner: Planner, item: Utterance) -> TaskSpec | None:
    """What a sentence was made to mean; None if it is refused or names what the lexicon does not know."""
    try:
        return planner.plan([command_of(part, item.text) for part in item.invocations])
    except CommandError:
        return None


def outcome(parse: Callable[[str], TaskSpec], text: str) -> TaskSpec | str:
    """What a parser makes of a sentence: a task, "refuse", or "error" if it fails otherwise."""
    try:
        return parse(text)
    except CommandError:
        return REFUSE
    except Exception:
        return FAILED


def kinds(spec: TaskSpec | str | None) -> Kinds:
    """The tasks of an outcome in order, see `kinds_of`; a refusal or an error by its name alone."""
    if spec is None:
        return (REFUSE,)
    return (spec,) if isinstance(spec, str) else kinds_of(spec)


def compare(specs: Sequence[TaskSpec | None], given: Sequence[TaskSpec | str]) -> dict[str, Any]:
    """Shares: accuracy and exact over sentences to be served, refusal over those to be refused, refusal_precision."""
    return shares([kinds(spec) for spec in specs], [kinds(spec) for spec in given]) | {
        "exact": _mean([_same(spec, got) for spec, got in zip(specs, given, strict=True) if spec is not None])
    }


def _same(spec: TaskSpec, got: TaskSpec | str) -> bool:
    if isinstance(got, str) or kinds(spec) != kinds(got):
        return False
    return all(
        (a.classes, a.phrase or a.classes, a.region) == (b.classes, b.phrase or b.classes, b.region)
        for a, b in zip(spec.steps, got.steps, strict=True)
    )


def shares(right: Sequence[Kinds], got: Sequence[Kinds]) -> dict[str, Any]:
    """Of the tasks of sentences, ("refuse",) for none: accuracy, refusal, and how many refusals were right."""
    pairs = list(zip(right, got, strict=True))
    refused = (REFUSE,)
    return {
        "accuracy": _mean([a == b for a, b in pairs if a != refused]),
        "refusal": _mean([b == refused for a, b in pairs if a == refused]),
        "refusal_precision": _mean([a == refused for a, b in pairs if b == refused]),
    }


def _mean(values: list[bool]) -> float | None:
    return float(np.mean(values)) if values else None


def _modules(invocations: tuple[Invocation, ...]) -> Kinds:
    return (REFUSE,) if any(item.refused for item in invocations) else tuple(item.module for item in invocations)


def _alone(router: SentenceRouter, items: list[tuple[Utterance, TaskSpec | None]]) -> dict[str, Any]:
    """The language model on every sentence, believed whatever its confidence."""
    got = [read(router.route(item.text)[0]) for item, _ in items]
    right = [_modules(item.invocations) for item, _ in items]
    exact = [item.invocations == given for (item, spec), given in zip(items, got, strict=True) if spec is not None]
    return shares(right, [_modules(given) for given in got]) | {"exact": _mean(exact)}


def _nearest(similarity: TextSimilarity, items: list[tuple[Utterance, TaskSpec | None]], seed: int) -> dict[str, Any]:
    """The modules of the learnt sentence whose embedding is nearest."""
    learnt = list(utterances("learnt", NEIGHBOURS_FROM, seed))
    known = similarity.embed(tuple(item.text for item in learnt))
    asked = similarity.embed(tuple(item.text for item, _ in items))
    nearest = (asked @ known.T).argmax(1)
    right = [_modules(item.invocations) for item, _ in items]
    return shares(right, [_modules(learnt[place].invocations) for place in nearest])


def _majority(items: list[tuple[Utterance, TaskSpec | None]]) -> dict[str, Any]:
    """The commonest module of single served sentences for everything."""
    right = [_modules(item.invocations) for item, _ in items]
    common = Counter(modules for modules in right if modules != (REFUSE,)).most_common(1)[0][0]
    return shares(right, [common] * len(right))


def spread(values_ms: list[float]) -> dict[str, float]:
    """Median and 95th percentile, milliseconds."""
    if not values_ms:
        return {}
    return {"p50": round(float(np.median(values_ms)), 2), "p95": round(float(np.percentile(values_ms, 95)), 2)}


def _misses(items: list[tuple[Utterance, TaskSpec | None]], given: list[TaskSpec | str]) -> list[dict[str, str]]:
    wrong = [
        {"text": item.text, "wanted": ", ".join(kinds(spec)), "given": ", ".join(kinds(got))}
        for (item, spec), got in zip(items, given, strict=True)
        if kinds(spec) != kinds(got)
    ]
    return wrong[:MISSES_KEPT]
