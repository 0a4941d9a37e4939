from __future__ import annotations

import pytest

from vision_llm_ros.errors import CommandError
from vision_llm_ros.interfaces import WHOLE_IMAGE, Task
from vision_llm_ros.language.invocation import INSTRUCTED, MODULES, REGIONS, Invocation, read, write
from vision_llm_ros.language.parser import CommandParser

CUP = "<module>segment</module><instruction>the red cup</instruction><region>0,0,0.5,1</region>"


def test_written_invocations_are_read_back_the_same() -> None:
    plan = (Invocation("denoise"), Invocation("segment", "the red cup", (0.0, 0.0, 0.5, 1.0)), Invocation("stop"))
    assert read(write(plan)) == plan
    assert write(plan[1:2]) == CUP


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "1 to 4 invocations, got 0"),
        (CUP * 5, "1 to 4 invocations, got 5"),
        (CUP.replace("</module>", ""), "at character 1"),
        (CUP + "and more", f"at character {len(CUP) + 1}"),
        (CUP.replace("segment", "fly"), "'fly'"),
        (CUP.replace("the red cup", ""), "needs an instruction"),
        (CUP.replace("segment", "denoise"), "takes no instruction"),
        (CUP.replace("0,0,0.5,1", "0.5,0,0,1"), "not empty"),
        (CUP.replace("0,0,0.5,1", "0,0,0,1"), "not empty"),
        (CUP.replace("0,0,0.5,1", "0,0,1.5,1"), "within 0..1"),
        (CUP.replace("0,0,0.5,1", "0,0,nan,1"), "finite"),
        (CUP.replace("0,0,0.5,1", "0,0,1"), "four numbers"),
        (CUP.replace("0,0,0.5,1", "left"), "four numbers"),
    ],
)
def test_malformed_invocations_are_refused(text: str, reason: str) -> None:
    with pytest.raises(CommandError, match=reason.replace("(", r"\(")):
        read(text)


@pytest.mark.parametrize("module", [name for name in MODULES if not name.startswith("refuse:")])
def test_every_module_stands_for_a_sentence_that_the_grammar_accepts(parser: CommandParser, module: str) -> None:
    told = {"answer": "whether the door is open", "match": "a dog on a beach", "recall": "any dog"}.get(
        module, "the cup"
    )
    item = Invocation(module, told if module in INSTRUCTED else "")
    spec = parser.parse(item.sentence())
    same = {"count": "answer", "describe": "caption", "when": "recall", "passed": "recall", "remove": "restore"}
    restoring = {"denoise", "deblur", "pepper", "derain", "mask", "rotate", "flip"}
    assert spec.task == (Task.RESTORE if module in restoring else Task(same.get(module, module)))


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("refuse:")])
def test_a_refusal_says_why(module: str) -> None:
    with pytest.raises(CommandError) as refused:
        Invocation(module).sentence()
    assert len(str(refused.value)) > 10 and refused.value.nearest


@pytest.mark.parametrize("region", REGIONS[1:])
def test_regions_reach_the_task(parser: CommandParser, region: tuple[float, float, float, float]) -> None:
    spec = parser.parse(Invocation("detect", "every cup", region).sentence())
    assert (spec.classes, spec.region) == (("cup",), region)
    assert parser.parse(Invocation("detect", "every cup", WHOLE_IMAGE).sentence()).region == WHOLE_IMAGE


def test_a_question_about_the_past_keeps_its_period(parser: CommandParser) -> None:
    assert parser.parse(Invocation("recall", "any dog").sentence("in the last 10 seconds")).past_s == 10.0


def test_noun_phrases_are_asked_about_and_questions_are_asked(parser: CommandParser) -> None:
    assert (
        parser.parse(Invocation("answer", "the colour of the mug").sentence()).phrase
        == "what is the colour of the mug?"
    )
    assert parser.parse(Invocation("answer", "is the mug red").sentence()).phrase == "is the mug red?"


def test_a_question_word_before_a_thing_is_left_out_of_its_command() -> None:
    assert Invocation("ground", "where that big orange").sentence() == "where is that big orange"
    assert Invocation("track", "where is the dog").sentence() == "track the dog"
    assert Invocation("answer", "what the dog wears").sentence() == "tell me what the dog wears"
