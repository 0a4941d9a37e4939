from __future__ import annotations

import numpy as np
import pytest

from vision_llm_ros.errors import InputError
from vision_llm_ros.evaluation.retrieval import recall_both_ways


def test_right_pairs_on_top_give_full_recall() -> None:
    owner = np.array([0, 0, 1, 1, 2])
    scores = (owner[None] == np.arange(3)[:, None]).astype(float)
    found = recall_both_ways(scores, owner)
    assert found == {"image_to_text": {"r1": 1.0, "r5": 1.0, "r10": 1.0}, "text_to_image": found["image_to_text"]}


def test_hand_made_table_gives_the_ranks() -> None:
    """Picture 0: a stranger first, then its own: found at 5. Picture 1: its own first."""
    owner = np.array([0, 1, 1])
    scores = np.array([[0.5, 0.9, 0.1], [0.6, 0.7, 0.2]])
    found = recall_both_ways(scores, owner)
    assert found["image_to_text"] == {"r1": 0.5, "r5": 1.0, "r10": 1.0}
    assert found["text_to_image"] == {"r1": pytest.approx(1 / 3), "r5": 1.0, "r10": 1.0}


def test_best_own_caption_decides_for_a_picture() -> None:
    owner = np.array([0, 0, 1])
    scores = np.array([[0.9, 0.0, 0.5], [0.1, 0.2, 0.8]])
    assert recall_both_ways(scores, owner)["image_to_text"]["r1"] == 1.0


def test_constant_and_missing_scores_find_nothing() -> None:
    owner = np.repeat(np.arange(12), 2)
    for table in (np.zeros((12, 24)), np.full((12, 24), np.nan)):
        found = recall_both_ways(table, owner)
        assert found["image_to_text"] == found["text_to_image"] == {"r1": 0.0, "r5": 0.0, "r10": 0.0}


def test_owners_that_do_not_fit_are_refused() -> None:
    for owner in ([0, 0], [0, 1], [0, 0, 0], [0, 1, 2]):
        with pytest.raises(InputError, match="Expected an owner"):
            recall_both_ways(np.zeros((2, 3)), np.array(owner))
