"""What is marked is called by its name, beside what is told about the cut-out."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from vision_llm_ros.config import RegionTokenConfig, RuntimeConfig
from vision_llm_ros.errors import WeightsError
from vision_llm_ros.evaluation.region_telling import names_class
from vision_llm_ros.interfaces import Caption, Frame, Perception, Prompt, PromptKind, Status, Task, TaskSpec
from vision_llm_ros.language.words import COCO_CLASSES
from vision_llm_ros.model import weights
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.model.region_token import RegionToken, num_channels
from vision_llm_ros.runtime.engine import TorchEngine, load_further
from vision_llm_ros.runtime.naming_route import PART, Namer, NamingRoute, asks_for_a_name
from vision_llm_ros.runtime.routes import Route, Stopwatch, View

CONFIG = RegionTokenConfig(hidden_width=6, threshold=0.0)
CPU = RuntimeConfig(device="cpu", dtype="float32")
MARK = (0.1, 0.1, 0.6, 0.9)
WHAT = TaskSpec(Task.ANSWER, phrase="what is this?", region=MARK)
DESCRIBE = TaskSpec(Task.CAPTION, region=MARK)


class Telling:
    """Says the same of everything; nothing when it is empty."""

    tasks, weights_hash = frozenset({Task.CAPTION, Task.ANSWER}), "1" * 12

    def __init__(self, text: str) -> None:
        self.text = text

    def answer(self, view: View, spec: TaskSpec, watch: Stopwatch) -> Perception:
        if not self.text:
            return Perception(spec.task, Status.NOTHING_FOUND, "no words")
        return Perception(spec.task, caption=Caption(self.text, 0.4, spec.phrase))


@pytest.fixture
def part(tmp_path: Path, tiny_model: VisionLLM) -> Path:
    torch.manual_seed(4)
    token = RegionToken(num_channels(tiny_model.backbone.channels), tiny_model.text_encoder.width, CONFIG.hidden_width)
    state = {f"token.{key}": value for key, value in token.state_dict().items()}
    weights.save(tmp_path / PART, CONFIG, state, (), {})
    return tmp_path / PART


def route(part: Path, model: VisionLLM, text: str, threshold: float = 0.0) -> NamingRoute:
    namer = Namer(part, model)
    config = dataclasses.replace(CONFIG, threshold=threshold)
    namer.manifest = dataclasses.replace(namer.manifest, config=config)
    telling: Route = Telling(text)
    return NamingRoute(namer, dict.fromkeys(telling.tasks, telling))


def ask(naming: NamingRoute, spec: TaskSpec) -> Perception:
    picture = np.random.default_rng(2).integers(0, 255, (90, 160, 3), dtype=np.uint8)
    view = View(Frame(picture), naming.namer.model, lambda wanted: Perception(wanted.task))
    with torch.inference_mode():
        return naming.answer(view, spec, Stopwatch())


def caption(answer: Perception) -> Caption:
    assert answer.caption is not None and answer.status is Status.OK
    return answer.caption


def test_what_is_this_is_answered_by_a_class_word(part: Path, tiny_model: VisionLLM) -> None:
    answer = ask(route(part, tiny_model, "a strange thing"), WHAT)
    assert caption(answer).text in COCO_CLASSES and 0 < caption(answer).score <= 1
    assert caption(answer).question == "what is this?" and "'a strange thing'" in answer.text


def test_a_caption_gets_the_name_it_lacks_and_keeps_the_one_it_has(part: Path, tiny_model: VisionLLM) -> None:
    name = caption(ask(route(part, tiny_model, "x"), WHAT)).text
    assert caption(ask(route(part, tiny_model, "Something grey."), DESCRIBE)).text == (
        f"{name.capitalize()}: something grey."
    )
    said = f"A large {name} somewhere."
    assert caption(ask(route(part, tiny_model, said), DESCRIBE)).text == said


def test_the_name_alone_is_told_where_there_are_no_other_words(part: Path, tiny_model: VisionLLM) -> None:
    for spec in (WHAT, DESCRIBE):
        assert caption(ask(route(part, tiny_model, ""), spec)).text.lower() in COCO_CLASSES


def test_an_unlikely_name_is_only_mentioned(part: Path, tiny_model: VisionLLM) -> None:
    answer = ask(route(part, tiny_model, "a strange thing", threshold=1.0), WHAT)
    assert caption(answer).text == "a strange thing" and caption(answer).score == 0.4
    assert "may be: " in answer.text
    silent = ask(route(part, tiny_model, "", threshold=1.0), WHAT)
    assert silent.status is Status.NOTHING_FOUND and silent.caption is None


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        (WHAT, True),
        (DESCRIBE, True),
        (dataclasses.replace(WHAT, phrase="what is that thing?"), True),
        (dataclasses.replace(WHAT, phrase="what kind of object is this?"), True),
        (dataclasses.replace(WHAT, phrase="what colour is this?"), False),
        (dataclasses.replace(WHAT, phrase="what is this made of?"), False),
        (dataclasses.replace(DESCRIBE, phrase="dog"), False),
        (dataclasses.replace(DESCRIBE, region=(0.0, 0.0, 0.5, 1.0)), False),
        (TaskSpec(Task.CAPTION), False),
        (TaskSpec(Task.ANSWER, phrase="what is this?"), False),
    ],
)
def test_only_what_asks_for_the_marked_thing_itself_is_named(spec: TaskSpec, named: bool) -> None:
    assert asks_for_a_name(spec) is named


def test_all_kinds_of_marks_are_named_and_lie_where_they_are_drawn(part: Path, tiny_model: VisionLLM) -> None:
    naming = route(part, tiny_model, "a thing")
    likely = set()
    for prompt in (
        Prompt(PromptKind.POINT, ((0.3, 0.4),)),
        Prompt(PromptKind.SCRIBBLE, ((0.1, 0.8), (0.9, 0.8))),
        Prompt(PromptKind.POLYGON, ((0.5, 0.1), (0.9, 0.1), (0.7, 0.9), (0.5, 0.1))),
    ):
        likely.add(round(caption(ask(naming, dataclasses.replace(WHAT, region=prompt.box, prompt=prompt))).score, 5))
    assert len(likely) == 3


def test_the_engine_names_and_can_be_asked_not_to(part: Path, tiny_model: VisionLLM) -> None:
    manifest = weights.Manifest(tiny_model.config, {}, ("detect",), {})
    assert load_further(part.parent, tiny_model, CPU) == []
    telling: list[Route] = [Telling("a strange thing")]
    plain, naming = (TorchEngine(tiny_model, manifest, CPU, telling, None, namer) for namer in (None, part))
    assert plain.weights_hash != naming.weights_hash
    frame = Frame(np.full((90, 160, 3), 90, np.uint8))
    answers = [engine.perceive(frame, (WHAT,))[0] for engine in (plain, naming)]
    served = naming.route(Task.ANSWER)
    assert isinstance(served, NamingRoute)
    with served.nameless():
        answers.append(naming.perceive(frame, (WHAT,))[0])
    texts = [caption(answer).text for answer in answers]
    assert texts[0] == texts[2] == "a strange thing" and texts[1] in COCO_CLASSES
    assert TorchEngine(tiny_model, manifest, CPU, (), None, part).route(Task.ANSWER) is None


def test_damaged_weights_are_named_when_they_are_wanted(part: Path, tiny_model: VisionLLM) -> None:
    naming = route(part, tiny_model, "a thing")
    (part / "token.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"token\.safetensors"):
        ask(naming, WHAT)


def test_synonyms_name_a_class_and_other_words_do_not() -> None:
    assert names_class("A woman with two dogs.", "person") and names_class("a traffic light", "traffic light")
    assert not names_class("A wooden table", "cup")
