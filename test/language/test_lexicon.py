from __future__ import annotations

import pytest

from vision_llm_ros.errors import CommandError
from vision_llm_ros.interfaces import TextSimilarity
from vision_llm_ros.language.lexicon import KNOWN_NOUNS, Lexicon, plural, singular
from vision_llm_ros.language.parser import CommandParser
from vision_llm_ros.language.words import COCO_CLASSES, NOT_OBJECTS, OTHER_NOUNS, SYNONYMS

# Neither in the word tables nor used when the thresholds were chosen.
UNLISTED_OBJECTS = "loch hatchback rottweiler stallion spaniel dachshund physician cardigan violinist bistro".split()
UNLISTED_OTHERS = "jealousy syntax theorem bankruptcy morality hypothesis wednesday grammarly zzkrp ambiguity".split()


def test_there_are_eighty_coco_classes() -> None:
    assert len(COCO_CLASSES) == len(set(COCO_CLASSES)) == 80


def test_word_tables_do_not_contradict_each_other() -> None:
    assert not set(COCO_CLASSES) & set(OTHER_NOUNS)
    assert not set(SYNONYMS) & (set(OTHER_NOUNS) | set(COCO_CLASSES))
    assert set(SYNONYMS.values()) <= set(COCO_CLASSES)
    assert not set(COCO_CLASSES) & NOT_OBJECTS


def test_plural_of_every_known_noun_is_read_back() -> None:
    wrong = [noun for noun in sorted(KNOWN_NOUNS) if singular(plural(singular(noun))) != singular(noun)]
    assert not wrong


@pytest.mark.parametrize(
    ("many", "one"),
    [("wolves", "wolf"), ("gizmos", "gizmo"), ("cherries", "cherry"), ("boxes", "box"), ("children", "child"),
     ("cookies", "cookie"), ("glasses", "glasses"), ("scissors", "scissors"), ("tomatoes", "tomato")],
)  # fmt: skip
def test_singular(many: str, one: str) -> None:
    assert singular(many) == one


def test_free_phrase_keeps_the_words_of_the_operator() -> None:
    noun = Lexicon().noun(["old", "sofa"])
    assert (noun.said, noun.words) == ("sofa", 1)


@pytest.mark.parametrize("words", [["thing"], ["love"], ["red"], ["persn"], ["xqzw"], ["trafic", "light"]])
def test_what_cannot_be_looked_for_is_refused(words: list[str]) -> None:
    with pytest.raises(CommandError):
        Lexicon().noun(words)


def test_meaning_admits_unlisted_objects_and_refuses_the_rest(minilm: TextSimilarity) -> None:
    parser = CommandParser(minilm)

    def accepted(word: str) -> bool:
        try:
            parser.parse(f"find every {word}")
        except CommandError:
            return False
        return True

    assert not set(UNLISTED_OBJECTS + UNLISTED_OTHERS) & KNOWN_NOUNS
    hits = [word for word in UNLISTED_OBJECTS if accepted(word)]
    false_hits = [word for word in UNLISTED_OTHERS if accepted(word)]
    assert not false_hits
    assert len(hits) >= len(UNLISTED_OBJECTS) // 2, hits


def test_near_synonym_becomes_the_class_it_means(minilm: TextSimilarity) -> None:
    spec = CommandParser(minilm).parse("find every canine")
    assert spec.classes == ("dog",)
    assert spec.heard == ("canine as dog",)


def test_misspelling_is_refused_also_with_meaning_at_hand(minilm: TextSimilarity) -> None:
    with pytest.raises(CommandError) as refused:
        CommandParser(minilm).parse("find every persn")
    assert refused.value.nearest == "find every person"


def test_word_vectors_are_read_back_from_the_cache(minilm: TextSimilarity) -> None:
    Lexicon(minilm).warm_up()

    class Counting:
        phrases = 0

        def embed(self, phrases: tuple[str, ...]) -> object:
            self.phrases += len(phrases)
            return minilm.embed(phrases)

    counting = Counting()
    Lexicon(counting).warm_up()  # type: ignore[arg-type]
    assert counting.phrases == 1
