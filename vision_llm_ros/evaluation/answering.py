"""Questions about pictures with known answers: accuracy by kind, beside plain baselines."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vision_llm_ros.errors import InputError
from vision_llm_ros.evaluation.trial import Trial
from vision_llm_ros.interfaces import Status, Task, TaskSpec
from vision_llm_ros.language.questions import Kind, understand
from vision_llm_ros.training.datasets import Picture, read_json
from vision_llm_ros.training.question_data import Question

NOT_SURE = "not sure"
COUNTED = 0.3  # detections below this score are none, as in the default settings of the runtime


@dataclass(frozen=True)
class _Given:
    """A question with what was said to it, and what the detector and the language model alone would say."""

    question: Question
    said: str
    detected: str
    alone: str


def load_questions(path: Path, pictures: Sequence[Picture]) -> list[Question]:
    """Read {"questions": [{"image_id", "question", "answer"}]}; the kind is found from the words.

    Raises:
        InputError: a field is missing, or no question is about one of the pictures.
    """
    known = {picture.image_id for picture in pictures}
    found = []
    for index, item in enumerate(read_json(path).get("questions", [])):
        try:
            image_id, text, answer = item["image_id"], str(item["question"]), str(item["answer"]).lower()
        except (KeyError, TypeError) as error:
            raise InputError(
                f"{path} questions[{index}]: expected image_id, question and answer, got {item}"
            ) from error
        asked = understand(text)
        if image_id in known:
            found.append(Question(image_id, text, answer, str(asked.kind), asked.label))
    if not found:
        raise InputError(f"{path}: no question is about one of the {len(known)} pictures")
    return found


def answer(trial: Trial, pictures: Sequence[Picture], questions: Sequence[Question]) -> dict[str, Any]:
    """Ask every question alone.

    Returns:
        kinds: by kind of question accuracy ("not sure" is wrong), answered share, accuracy of what was answered, for
        counts within_one too; and of the baselines `frequent` (the most frequent answer of the kind), `detector`
        (presence and counts by the detector alone) and `language_model` (candidates ranked by the Q-Former's language
        model alone, of the questions where it was heard). questions, examples.
    """
    from vision_llm_ros.runtime.matching import find_text_route

    trial.require(Task.ANSWER)
    by_picture: dict[int, list[Question]] = defaultdict(list)
    for question in questions:
        by_picture[question.image_id].append(question)
    given: list[_Given] = []
    route = find_text_route(trial.engine)
    for picture, image in trial.read([p for p in pictures if p.image_id in by_picture], "answer"):
        for question in by_picture[picture.image_id]:
            specs = [TaskSpec(Task.ANSWER, phrase=question.text)]
            if question.kind in (Kind.PRESENCE, Kind.COUNT) and question.label:
                specs.append(TaskSpec(Task.DETECT, (question.label,)))
            told, *found = trial.ask(str(picture.path), image, specs)
            said = told.caption.text.lower() if told.status is Status.OK and told.caption else ""
            counted = sum(item.score >= COUNTED for item in found[0].detections) if found else -1
            given.append(_Given(question, said, _detected(question, counted), route.alone if route else ""))
    trial.finish()
    kinds = sorted({each.question.kind for each in given})
    examples = [{"question": x.question.text, "answer": x.said, "right": x.question.answer} for x in given[:8]]
    return {
        "kinds": {kind: _measured([each for each in given if each.question.kind == kind]) for kind in kinds},
        "questions": len(given),
        "examples": examples,
    }


def _detected(question: Question, count: int) -> str:
    if count < 0:
        return ""
    return str(count) if question.kind == Kind.COUNT else ("yes" if count else "no")


def _measured(given: Sequence[_Given]) -> dict[str, Any]:
    right = [each.question.answer for each in given]
    common = Counter(right).most_common(1)[0][0]
    kind = given[0].question.kind
    baselines = {"frequent": _scores([common] * len(given), right, kind)}
    if any(each.detected for each in given):
        baselines["detector"] = _scores([each.detected for each in given], right, kind)
    if heard := [each for each in given if each.alone]:
        told = _scores([each.alone for each in heard], [each.question.answer for each in heard], kind)
        baselines["language_model"] = {**told, "questions": len(heard)}
    return {**_scores([each.said for each in given], right, kind), "baselines": baselines, "questions": len(given)}


def _scores(said: Sequence[str], right: Sequence[str], kind: str) -> dict[str, float | None]:
    hits = [a == b for a, b in zip(said, right, strict=True)]
    answered = [hit for hit, text in zip(hits, said, strict=True) if text not in ("", NOT_SURE)]
    values: dict[str, float | None] = {
        "accuracy": sum(hits) / len(hits),
        "answered": len(answered) / len(hits),
        "accuracy_answered": sum(answered) / len(answered) if answered else None,
    }
    if kind == Kind.COUNT:
        close = [a.isdigit() and abs(int(a) - int(b)) <= 1 for a, b in zip(said, right, strict=True)]
        values["within_one"] = sum(close) / len(close)
    return values
