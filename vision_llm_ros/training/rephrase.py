"""Referring questions in the words of a language model behind an endpoint; what goes wrong keeps the rule's words."""

from __future__ import annotations

import json
import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from vision_llm_ros.errors import ConfigError, EngineError, InputError
from vision_llm_ros.training.chat import ChatEndpoint
from vision_llm_ros.training.make_refer import Question, rephrased

PATIENCE = 5  # failures in a row after which the endpoint is given up
_SYSTEM = """You write training data for a robot that marks objects in camera pictures.
You get the objects of a picture with their boxes (x0, y0, x1, y1 as fractions, y down) and one question by rule.
Say the same in natural, varied English. Keep what tells the objects meant from the others: class, position, size,
number, relation. Never mention boxes or numbers of the list. Left stays left, right stays right.
Reply with one JSON object and nothing else:
{"sentence": "what is referred to, a noun phrase", "question": "a full question or request with the same meaning",
 "answer": "names every object that is meant, each followed by {seg}, in the order of the given answer"}"""


@dataclass
class Rephraser:
    """Asks the endpoint about each question, several at a time.

    Attributes:
        counts: questions that were "rephrased", kept for a "bad answer", kept "unasked".
        given_up: why the endpoint is asked no more; "" while it is.
    """

    endpoint: ChatEndpoint
    parallel: int = 4
    counts: Counter[str] = field(default_factory=Counter)
    given_up: str = ""
    _failures: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, items: Iterable[tuple[Question, list[dict[str, Any]]]]) -> Iterator[Question]:
        """Every question in its order, in new words where that worked.

        Args:
            items: questions, each with the objects of its picture as plain values.
        Raises:
            ConfigError: the endpoint refuses the first request for good.
        """
        waiting: deque[Future[Question]] = deque()
        with ThreadPoolExecutor(self.parallel) as pool:
            for item in items:
                waiting.append(pool.submit(self._one, *item))
                if len(waiting) >= 2 * self.parallel:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _one(self, question: Question, objects: list[dict[str, Any]]) -> Question:
        if self.given_up:
            return self._kept(question, "unasked")
        given = {"sentence": question.sentence, "question": question.question, "answer": question.text_answer}
        try:
            told = self.endpoint.ask_json(_SYSTEM, json.dumps({"objects": objects, **given}))
            changed = rephrased(question, *(str(told.get(key, "")) for key in given))
        except InputError:
            return self._kept(question, "bad answer")
        except (EngineError, ConfigError) as error:
            return self._failed(question, error)
        with self._lock:
            self._failures = 0
            self.counts["rephrased"] += 1
        return changed

    def _failed(self, question: Question, error: EngineError | ConfigError) -> Question:
        """Nothing has worked yet: the settings are wrong. Later: do without."""
        with self._lock:
            if isinstance(error, ConfigError) and not self.counts["rephrased"] + self.counts["bad answer"]:
                raise error
            self._failures += 1
            if isinstance(error, ConfigError) or self._failures >= PATIENCE:
                self.given_up = str(error)
        return self._kept(question, "unasked")

    def _kept(self, question: Question, why: str) -> Question:
        with self._lock:
            self.counts[why] += 1
        return question
