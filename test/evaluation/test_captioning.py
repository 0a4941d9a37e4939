from __future__ import annotations

import math

import pytest

from vision_llm_ros.errors import InputError
from vision_llm_ros.evaluation.captioning import bleu4, cider, words

CANDIDATES = [
    "A man riding a wave on a surfboard.",
    "Two dogs play with a ball in the grass",
    "A plate of food on a table",
    "a train at the station",
]
REFERENCES = [
    ["A man riding a wave on top of a surfboard.", "A surfer rides a large wave in the ocean."],
    ["Two dogs playing with a red ball in the green grass", "The dogs play in the grass."],
    [
        "A plate of food sitting on a wooden table.",
        "A white plate with food on the table",
        "The man's lunch isn't eaten",
    ],
    ["A train stopped at the train station", "A red train pulling into a station"],
]


def test_bleu_and_cider_agree_with_coco_caption() -> None:
    """Values that pycocoevalcap 1.2 gives for these sentences, split into the same words."""
    assert bleu4(CANDIDATES, REFERENCES) == pytest.approx(0.4299772518563479, abs=1e-7)
    assert cider(CANDIDATES, REFERENCES) == pytest.approx(2.7456271808778205, abs=1e-9)


def test_bleu_agrees_with_the_published_example() -> None:
    """The corpus of NLTK's documentation of corpus_bleu, which gives 0.5920..."""
    candidates = [
        "It is a guide to action which ensures that the military always obeys the commands of the party",
        "he read the book because he was interested in world history",
    ]
    references = [
        [
            "It is a guide to action that ensures that the military will forever heed Party commands",
            "It is the guiding principle which guarantees the military forces "
            "always being under the command of the Party",
            "It is the practical guide for the army always to heed the directions of the party",
        ],
        ["he was interested in world history because he read the book"],
    ]
    assert 0.5920 <= bleu4(candidates, references) < 0.5921


def test_bleu_takes_the_closest_reference_for_brevity() -> None:
    """Five words against references of 6 and 9: exp(1 - 6/5)."""
    references = [["the cat sat on the mat", "the cat sat on the very old red mat"]]
    assert bleu4(["the cat sat on the"], references) == pytest.approx(math.exp(1 - 6 / 5))


def test_perfect_captions_score_one_and_ten() -> None:
    texts = [references[0] for references in REFERENCES]
    assert bleu4(texts, [[text] for text in texts]) == pytest.approx(1.0)
    assert cider(texts, [[text] for text in texts]) == pytest.approx(10.0)


def test_strangers_and_silence_score_nothing() -> None:
    for text in ("zebras fly", ""):
        assert bleu4([text] * 4, REFERENCES) == 0.0
        assert cider([text] * 4, REFERENCES) == 0.0


def test_repeating_one_good_word_does_not_pay() -> None:
    assert cider(["train " * 9] * 4, REFERENCES) < 0.2 * cider(CANDIDATES, REFERENCES)


def test_words_are_lower_case_without_punctuation_and_with_clitics_split() -> None:
    assert words("The man's lunch isn't eaten!") == ["the", "man", "'s", "lunch", "is", "n't", "eaten"]
    assert words("A black-and-white cat, 4.5 kg.") == ["a", "black-and-white", "cat", "4.5", "kg"]


def test_captions_without_reference_are_refused() -> None:
    with pytest.raises(InputError, match="no reference"):
        bleu4(["a dog"], [[]])
    with pytest.raises(InputError, match="got 1 and 2"):
        cider(["a dog"], [["a dog"], ["a cat"]])
    with pytest.raises(InputError, match="got 0 and 0"):
        cider([], [])
