"""Evaluations whose answer is words: caption, match."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from vision_llm_ros.evaluation.caption_baselines import CaptionBaselines
from vision_llm_ros.evaluation.captioning import bleu4, cider
from vision_llm_ros.evaluation.retrieval import recall_both_ways
from vision_llm_ros.evaluation.trial import Trial
from vision_llm_ros.interfaces import Task, TaskSpec
from vision_llm_ros.training.datasets import CaptionSet, Picture

CAPTIONS_A_CALL = 256


def caption(
    trial: Trial, dataset: CaptionSet, pictures: Sequence[Picture], baselines: CaptionBaselines | None = None
) -> dict[str, Any]:
    """BLEU-4 and CIDEr of one caption per picture against all human ones.

    Returns:
        bleu4 (0..1), cider (0..10), empty (pictures without an answer), examples (the first few), and `baselines`
        {"frequent", "nearest"} with bleu4 and cider on the same pictures.
    """
    trial.require(Task.CAPTION)
    texts, references, examples = [], [], []
    others: dict[str, list[str]] = defaultdict(list)
    for picture, image in trial.read(pictures, "caption"):
        (answer,) = trial.ask(str(picture.path), image, (TaskSpec(Task.CAPTION),))
        texts.append(answer.caption.text if answer.caption else "")
        references.append(dataset.captions[picture.image_id])
        examples.append({"image": picture.path.name, "caption": texts[-1], "human": references[-1][0]})
        for name, text in (baselines.captions(image) if baselines else {}).items():
            others[name].append(text)
    trial.finish()
    return {
        **_scores(texts, references),
        "empty": sum(not text.strip() for text in texts),
        "examples": examples[:5],
        "baselines": {name: _scores(guesses, references) for name, guesses in others.items()},
    }


def _scores(texts: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    return {"bleu4": bleu4(texts, references), "cider": cider(texts, references)}


def match(trial: Trial, dataset: CaptionSet, pictures: Sequence[Picture]) -> dict[str, Any]:
    """Retrieval by the score with which the model says that a caption fits a picture.

    Returns:
        image_to_text and text_to_image {r1, r5, r10}, captions.
    """
    trial.require(Task.MATCH)
    texts = [(picture.image_id, text) for picture in pictures for text in dataset.captions[picture.image_id]]
    specs = [TaskSpec(Task.MATCH, phrase=text) for _, text in texts]
    rows, seen = [], []
    for picture, image in trial.read(pictures, "match"):
        seen.append(picture.image_id)
        answers = [
            answer
            for start in range(0, len(specs), CAPTIONS_A_CALL)
            for answer in trial.ask(str(picture.path), image, specs[start : start + CAPTIONS_A_CALL])
        ]
        rows.append([np.nan if answer.caption is None else answer.caption.score for answer in answers])
    trial.finish()
    places = {image_id: place for place, image_id in enumerate(seen)}
    columns = [index for index, (image_id, _) in enumerate(texts) if image_id in places]
    owner = np.array([places[texts[index][0]] for index in columns])
    return {**recall_both_ways(np.array(rows)[:, columns], owner), "captions": len(columns)}
