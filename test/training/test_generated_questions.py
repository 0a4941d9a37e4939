from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vision_llm_ros.errors import ConfigError, InputError
from vision_llm_ros.language.phrases import read_phrase, split_phrases
from vision_llm_ros.training.datasets import InstanceSet, Notes, load_instances
from vision_llm_ros.training.make_refer import (
    MakeReferConfig,
    Question,
    class_name,
    make_questions,
    rephrased,
)
from vision_llm_ros.training.uses import HELD_OUT, LEARNT

NAMES = {1: "Cup", 2: "dog", 3: "wine_glass", 4: "zebra", 5: "train", 6: "kite"}


def annotation(number: int, image_id: int, category: int, box: tuple[float, ...], **changes: Any) -> dict[str, Any]:
    x, y, width, height = box
    outline = [x, y, x + width, y, x + width, y + height, x, y + height]
    fields = {"bbox": list(box), "area": width * height, "iscrowd": 0, "segmentation": [outline]}
    return {"id": number, "image_id": image_id, "category_id": category, **fields, **changes}


def data(folder: Path, annotations: list[dict[str, Any]], pictures: int = 1) -> InstanceSet:
    images = [{"id": i, "file_name": f"{i}.png", "width": 200, "height": 100} for i in range(pictures)]
    categories = [{"id": key, "name": name} for key, name in NAMES.items()]
    path = folder / "instances.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return load_instances(path, folder)


def asked(dataset: InstanceSet, **settings: Any) -> list[Question]:
    made = make_questions(dataset, dataset.pictures, MakeReferConfig(**{"per_picture": 80, **settings}), Notes())
    return [question for questions in made for question in questions]


@pytest.fixture
def table(tmp_path: Path) -> InstanceSet:
    """Three cups from left to right, the last one large; a dog below; a glass."""
    return data(
        tmp_path,
        [
            annotation(1, 0, 1, (5, 20, 20, 20)),
            annotation(2, 0, 1, (80, 20, 20, 20)),
            annotation(3, 0, 1, (150, 15, 40, 30)),
            annotation(4, 0, 2, (60, 60, 60, 35)),
            annotation(5, 0, 3, (30, 60, 12, 30)),
        ],
    )


def test_every_phrase_means_its_objects_and_no_others(table: InstanceSet) -> None:
    phrases = {text: set(ids) for question in asked(table) for text, ids in question.phrases}
    known = {
        "the leftmost cup": {1},
        "the largest cup": {3},
        "the three cups": {1, 2, 3},
        "all cups": {1, 2, 3},
        "the dog": {4},
        "the wine glass": {5},
        "the kite": set(),
    }
    assert {text: phrases[text] for text in known} == known


def test_all_rules_take_part_and_questions_differ(table: InstanceSet) -> None:
    questions = asked(table)
    assert {"multi", "absent", "unique", "position", "size", "count", "all"} <= {item.kind for item in questions}
    assert len({item.sentence for item in questions}) == len(questions)


def test_phrases_of_a_question_mean_different_objects_and_can_be_told_apart(table: InstanceSet) -> None:
    several = [question for question in asked(table) if len(question.phrases) > 1]
    assert several
    for question in several:
        assert len(set(question.annotation_ids)) == len(question.annotation_ids)
        assert len(split_phrases(question.sentence)) == len(question.phrases)
        assert sum(not targets for _, targets in question.phrases) <= 1


def test_answer_has_one_mask_for_every_target_in_their_order(table: InstanceSet) -> None:
    for question in asked(table):
        assert question.text_answer.count("{seg}") == len(question.annotation_ids)
        assert question.sentence in question.question
        assert question.text_answer[0].isupper() and question.text_answer.endswith(".")
    told = {question.sentence: question.text_answer for question in asked(table, most_phrases=1)}
    assert told["the three cups"] == "The three cups are {seg}, {seg} and {seg}."
    assert told["the dog"] == "The dog is {seg}."
    assert told["the kite"] == "There is no kite."


def test_crowds_small_objects_and_those_without_an_outline_are_never_meant(tmp_path: Path) -> None:
    dataset = data(
        tmp_path,
        [
            annotation(1, 0, 1, (5, 20, 20, 20)),
            annotation(2, 0, 2, (80, 20, 80, 60), iscrowd=1),
            annotation(3, 0, 3, (180, 20, 4, 20)),
            annotation(4, 0, 5, (100, 5, 30, 30), segmentation=[]),
        ],
    )
    meant = Counter(target for question in asked(dataset) for target in question.annotation_ids)
    assert set(meant) == {1}
    absent = {text for question in asked(dataset) for text, ids in question.phrases if not ids}
    assert absent and all("kite" in text for text in absent)


def test_a_class_is_not_called_absent_beside_one_that_looks_like_it(tmp_path: Path) -> None:
    questions = asked(data(tmp_path, [annotation(1, 0, 2, (5, 20, 20, 20))]))  # a dog, so no zebra
    absent = {text for question in questions for text, ids in question.phrases if not ids}
    assert any("train" in text for text in absent) and not any("zebra" in text for text in absent)


def test_same_seed_gives_the_same_questions_whatever_other_pictures_there_are(tmp_path: Path) -> None:
    objects = [annotation(1, 0, 1, (5, 20, 20, 20)), annotation(2, 0, 2, (80, 20, 40, 60))]
    one = asked(data(tmp_path, objects))
    more = asked(data(tmp_path, [*objects, annotation(3, 1, 2, (80, 20, 40, 60))], pictures=2))
    assert one == [question for question in more if question.image_id == 0]
    assert one != asked(data(tmp_path, objects), seed=1)


def test_a_picture_of_unknown_size_that_cannot_be_read_is_noted(tmp_path: Path) -> None:
    dataset = data(tmp_path, [annotation(1, 0, 1, (5, 20, 20, 20))])
    values = json.loads((tmp_path / "instances.json").read_text())
    del values["images"][0]["width"]
    (tmp_path / "instances.json").write_text(json.dumps(values))
    dataset, notes = load_instances(tmp_path / "instances.json", tmp_path), Notes()
    assert list(make_questions(dataset, dataset.pictures, MakeReferConfig(), notes)) == [[]]
    assert "0.png, and it cannot be decoded" in notes.lines()[0]


def test_class_names_become_words() -> None:
    assert [class_name(name) for name in ("wine_glass", "Dining-Table", "car_(automobile)", "cup")] == [
        *("wine glass", "dining table", "car", "cup"),
    ]


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"most_phrases.*at most 4, got 5"):
        MakeReferConfig(most_phrases=5)


ASKED = Question(
    0, "the left cup", "Segment the left cup.", "The left cup is {seg}.", (("the left cup", (1,)),), "position"
)


def test_other_words_keep_targets_and_remember_the_rule() -> None:
    told = rephrased(ASKED, "the mug farthest left", "Could you  mark the mug farthest left?", "It is {seg}.")
    assert told.annotation_ids == (1,)
    assert (told.question, told.rule_sentence) == ("Could you mark the mug farthest left?", "the left cup")
    assert told.values(7)["rule_sentence"] == "the left cup"
    assert "rule_sentence" not in ASKED.values(7)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("", "Mark it.", "It is {seg}."), "bearable length"),
        (("the left mug " * 50, "Mark it.", "It is {seg}."), "bearable length"),
        (("the left mug", "Mark it.", "It is there."), "Expected 1 {seg}"),
        (("the left mug", "Mark {seg}.", "It is {seg}."), "in the answer alone"),
        (("the right mug", "Mark it.", "It is {seg}."), "in other words"),
    ],
)
def test_words_that_do_not_fit_are_refused(words: tuple[str, str, str], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        rephrased(ASKED, *words)


def test_no_object_at_all_gives_absent_questions_only(tmp_path: Path) -> None:
    questions = asked(data(tmp_path, []))
    assert questions and {item.kind for item in questions} == {"absent"}
    assert not np.concatenate([item.annotation_ids for item in questions]).size


def test_questions_by_use_name_no_class(table: InstanceSet) -> None:
    for chosen, known in (("learnt", LEARNT), ("held-out", HELD_OUT)):
        found = {text: set(ids) for question in asked(table, uses=chosen) for text, ids in question.phrases}
        assert {read_phrase(phrase).text for phrase, _ in known} >= {read_phrase(text).text for text in found}
        assert any(found.values()) and not all(found.values())
    assert found["something to drink from"] == {1, 2, 3, 5}
    assert found["pets"] == {4}
