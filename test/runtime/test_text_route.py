from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from blips import RUNTIME, TOLD, build_engine, build_route, stirred, write_part
from miniature import build_tiny, pictures

from vision_llm_ros.config import ModelConfig
from vision_llm_ros.errors import UnsupportedTaskError, WeightsError
from vision_llm_ros.interfaces import Caption, Detection, Frame, Perception, Status, Task, TaskSpec
from vision_llm_ros.model import weights
from vision_llm_ros.model.blip import Blip
from vision_llm_ros.model.prompt_writer import Written
from vision_llm_ros.runtime.answers import Answerer
from vision_llm_ros.runtime.engine import TorchEngine
from vision_llm_ros.runtime.matching import matcher_of
from vision_llm_ros.runtime.text_route import TextRoute, load_route


@pytest.fixture(autouse=True, scope="module")
def same_threads() -> Iterator[None]:
    """An engine sets the number of threads of the whole process."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def route(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> TextRoute:
    return build_route(tiny_folder, tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def engine(route: TextRoute) -> TorchEngine:
    return build_engine(route)


@pytest.fixture
def frame() -> Frame:
    return Frame(np.ascontiguousarray(pictures(1, 160)[0].permute(1, 2, 0).numpy()[:120]))


def other(frame: Frame) -> Frame:
    return Frame(np.ascontiguousarray(255 - frame.image_rgb_u8))


def one(engine: TorchEngine, frame: Frame, task: Task, phrase: str = "", **changes: object) -> Perception:
    (answer,) = engine.perceive(frame, (TaskSpec(task, phrase=phrase, **changes),))  # type: ignore[arg-type]
    return answer


def told(perception: Perception) -> Caption:
    assert perception.caption is not None, perception.text
    return perception.caption


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch, engine: TorchEngine) -> list[Detection]:
    """What the detector finds from now on."""
    detections: list[Detection] = []
    answer = engine.sets.answer

    def stand_in(view: object, spec: TaskSpec, watch: object) -> Perception:
        if spec.task is not Task.DETECT:
            return answer(view, spec, watch)  # type: ignore[arg-type]
        return Perception(spec.task, detections=tuple(detections))

    monkeypatch.setattr(engine.sets, "answer", stand_in)
    return detections


@pytest.fixture
def ranked(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """How the language model ranks candidates from now on."""
    chances: dict[str, float] = {}
    monkeypatch.setattr(Answerer, "rank", lambda self, asked, prompt: dict(chances))
    return chances


def box(score: float, x_min: float = 10.0) -> Detection:
    return Detection("dog", 0, score, (x_min, 10.0, x_min + 30.0, 60.0))


def test_the_engine_serves_captions_answers_and_matching(engine: TorchEngine) -> None:
    assert {Task.CAPTION, Task.ANSWER, Task.MATCH, Task.DETECT} <= engine.tasks


def test_a_caption_is_a_sentence_with_a_score(engine: TorchEngine, frame: Frame) -> None:
    caption = told(one(engine, frame, Task.CAPTION))
    assert caption.text
    assert 0 < caption.score <= 1
    assert caption.question == ""


def test_short_and_long_captions_differ_in_length(engine: TorchEngine, frame: Frame) -> None:
    short, long = (told(one(engine, frame, Task.CAPTION, caption_length=each)).text for each in ("short", "long"))
    count = engine.model.llm.tokenizer
    assert len(count(short)["input_ids"]) < len(count(long)["input_ids"])


def test_what_is_outside_the_region_does_not_change_its_caption(engine: TorchEngine, frame: Frame) -> None:
    """The pyramid's view reaches beyond the region, so the half far from it is changed."""
    region = (0.0, 0.0, 0.3, 1.0)
    route = engine.route(Task.CAPTION)
    assert isinstance(route, TextRoute)
    one(engine, frame, Task.CAPTION, region=region)
    look = route._looks[region]
    assert not look.visible[:, : look.seen.cells.shape[1] * look.seen.cells.shape[2]].all()


def test_matching_tells_similarity_and_a_calibrated_probability(engine: TorchEngine, frame: Frame) -> None:
    answer = one(engine, frame, Task.MATCH, "a dog on a chair")
    caption = told(answer)
    assert caption.question == "a dog on a chair"
    assert caption.text == ("yes" if caption.score >= TOLD.match_threshold else "no")
    assert answer.text.startswith("similarity ")


def test_the_best_fitting_text_wins_over_a_likelier_one(route: TextRoute, engine: TorchEngine, frame: Frame) -> None:
    look = matcher_of(engine).look_frame(frame)
    texts = [Written("dog", 0.30), Written("cup", 0.31)]
    cosines = route.matcher.similarities([look], ["dog", "cup"])[0]
    fitting = int(cosines.argmax())
    route.blip.config = replace(TOLD, caption_match=1e4)
    try:
        assert route._most_fitting(look, texts) is texts[fitting]
        route.blip.config = replace(TOLD, caption_match=0.0)
        assert route._most_fitting(look, texts) is texts[1]
    finally:
        route.blip.config = TOLD
    assert route._most_fitting(look, [Written("", 1.0)]) is None


def test_presence_by_both_says_where_they_disagree(
    engine: TorchEngine,
    frame: Frame,
    found: list[Detection],
    ranked: dict[str, float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(TextRoute, "_evidence", lambda self, look, label: 4.0)
    ranked.update({"yes": 0.1, "no": 0.9})
    found.append(box(0.95))
    answer = one(engine, frame, Task.ANSWER, "is there a dog?")
    assert told(answer).text == "yes"
    assert answer.text == "the language model alone would say no"
    found.clear()
    ranked.update({"yes": 0.9999, "no": 0.0001})
    answer = one(engine, frame, Task.ANSWER, "is there a dog?")
    assert told(answer).text == "yes"
    assert answer.text == "the detector finds none"


def test_evidence_is_that_of_the_best_proposal_within_the_region(
    route: TextRoute, engine: TorchEngine, frame: Frame
) -> None:
    look = route.matcher.look_frame(frame)
    with torch.inference_mode():
        logits = route.model.tokenizer.scorer(look.seen.semantics, route.model.text_encoder(("dog",)))
        assert route._evidence(look, "dog") == pytest.approx(float(logits.max()))
        nothing = replace(look, visible=torch.zeros_like(look.visible))
        assert route._evidence(nothing, "dog") == -10.0


def test_presence_on_which_both_agree_has_no_remark(
    engine: TorchEngine,
    frame: Frame,
    found: list[Detection],
    ranked: dict[str, float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(TextRoute, "_evidence", lambda self, look, label: 4.0)
    ranked.update({"yes": 0.9, "no": 0.1})
    found.append(box(0.9))
    answer = one(engine, frame, Task.ANSWER, "is there a dog?")
    assert (told(answer).text, answer.text) == ("yes", "")


def test_a_count_hears_the_detector(
    engine: TorchEngine, frame: Frame, found: list[Detection], ranked: dict[str, float]
) -> None:
    ranked.update({str(n): 0.01 for n in range(13)} | {"7": 0.5})
    found += [box(0.9), box(0.8)]
    answer = one(engine, frame, Task.ANSWER, "how many dogs are there?")
    assert told(answer).text == "2"
    ranked.update({"3": 0.9})
    answer = one(engine, frame, Task.ANSWER, "how many dogs are there?")
    assert told(answer).text == "3"
    assert answer.text == "the detector counts 2, the language model alone 3"


def test_the_side_of_the_one_object_found_is_measured(
    engine: TorchEngine, frame: Frame, found: list[Detection], ranked: dict[str, float]
) -> None:
    ranked.update({"left": 0.2, "right": 0.8})
    found.append(box(0.9))
    answer = one(engine, frame, Task.ANSWER, "is the dog on the left or on the right?")
    assert told(answer).text == "left"
    assert answer.text == "the language model alone would say right"


def test_what_is_not_seen_has_no_colour(
    engine: TorchEngine, frame: Frame, found: list[Detection], ranked: dict[str, float]
) -> None:
    ranked.update({"red": 0.9, "blue": 0.1})
    answer = one(engine, frame, Task.ANSWER, "what color is the dog?")
    assert (told(answer).text, told(answer).score, answer.text) == ("not sure", 0.0, "no dog is seen")


def test_the_colour_of_the_surest_one_found_is_measured(engine: TorchEngine, found: list[Detection]) -> None:
    pixels = np.full((120, 160, 3), 120, np.uint8)
    pixels[10:60, 10:40], pixels[10:60, 80:110] = (200, 20, 20), (20, 20, 200)
    found += [box(0.6), box(0.9, 80.0)]
    answer = one(engine, Frame(pixels), Task.ANSWER, "what color is the dog?")
    assert (told(answer).text, answer.text) == ("blue", "that of the surest of 2")
    assert told(answer).score > 0.9
    found[:] = [Detection("dog", 0, 0.9, (10.0, 10.0, 11.0, 11.0))]
    assert told(one(engine, Frame(pixels), Task.ANSWER, "what color is the dog?")).text == "not sure"


def test_an_unlikely_answer_is_not_sure(
    route: TextRoute, engine: TorchEngine, frame: Frame, found: list[Detection], ranked: dict[str, float]
) -> None:
    ranked.update({"left": 0.3, "right": 0.25})
    found += [box(0.7), box(0.7)]
    route.blip.config = replace(TOLD, answer_threshold=0.5)
    try:
        answer = one(engine, frame, Task.ANSWER, "is the dog on the left or on the right?")
        assert told(answer).text == "not sure"
        assert told(answer).score == pytest.approx(0.3)
        assert answer.text == "the best guess is 'left'"
        assert told(one(engine, frame, Task.ANSWER, "what is on the table?")).text == "not sure"
    finally:
        route.blip.config = TOLD


def test_candidates_get_chances_that_sum_to_one(engine: TorchEngine, frame: Frame) -> None:
    answer = one(engine, frame, Task.ANSWER, "how many dogs are there?")
    assert told(answer).text.isdigit()
    assert 0 < told(answer).score <= 1


def test_it_means_what_the_last_question_about_this_frame_named(
    engine: TorchEngine, frame: Frame, found: list[Detection], ranked: dict[str, float]
) -> None:
    ranked.update({"red": 0.9, "blue": 0.1, "yes": 0.9, "no": 0.1})
    one(engine, frame, Task.ANSWER, "is there a dog?")
    assert one(engine, frame, Task.ANSWER, "what color is it?").text == "no dog is seen"
    one(engine, other(frame), Task.ANSWER, "what color is it?")
    assert one(engine, frame, Task.ANSWER, "what color is it?").text == ""


def test_the_history_of_a_frame_is_bounded(route: TextRoute, engine: TorchEngine, frame: Frame) -> None:
    for _ in range(7):
        one(engine, frame, Task.ANSWER, "what is on the table?")
    assert len(route._turns) == 4


def test_a_described_thing_that_is_not_there_is_not_found(
    engine: TorchEngine, frame: Frame, found: list[Detection]
) -> None:
    answer = one(engine, frame, Task.CAPTION, "dog")
    assert (answer.status, answer.text) == (Status.NOTHING_FOUND, "no dog is found to describe")
    found.append(box(0.9))
    assert told(one(engine, frame, Task.CAPTION, "dog")).text


def test_weights_for_matching_alone_write_nothing(tiny_folder: Path, tmp_path: Path) -> None:
    model = build_tiny(tiny_folder)
    state = {k: v for k, v in stirred(Blip(TOLD, model)).state_dict().items() if not k.startswith("writer.")}
    weights.save(tmp_path, TOLD, state, ("match",), {})
    route = load_route(tmp_path, model, RUNTIME)
    assert route.tasks == {Task.MATCH}
    assert model.llm.num_layers == 2


def test_a_missing_file_is_named(route: TextRoute, tiny_folder: Path, tmp_path: Path) -> None:
    part = write_part(tmp_path, route.model)
    (part / "matcher.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"matcher\.safetensors is missing"):
        load_route(part, route.model, RUNTIME)


def test_an_engine_without_the_route_cannot_match(engine: TorchEngine) -> None:
    alone = TorchEngine(engine.model, _manifest(engine), engine.runtime)
    with pytest.raises(UnsupportedTaskError, match="cannot match pictures and sentences"):
        matcher_of(alone)


def _manifest(engine: TorchEngine) -> weights.Manifest[ModelConfig]:
    return weights.Manifest(engine.config, {"x": "0"}, ("detect",), {})


@pytest.mark.parametrize("kind", ["dinov2", "clip"])
def test_published_vision_transformers_serve_all_three_tasks(kind: str, tmp_path: Path, frame: Frame) -> None:
    """BLIP-2's encoder is such a one, and 32 queries are its number."""
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    sizes |= {"image_size": 56, "patch_size": 14}
    torch.manual_seed(0)
    if kind == "clip":
        vision: torch.nn.Module = transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**sizes))
    else:
        vision = transformers.Dinov2Model(transformers.Dinov2Config(**sizes))
    vision.save_pretrained(tmp_path / kind)
    places = {"backbone": "hub", "backbone_source": str(tmp_path / kind), "image_size_px": 112}
    model = build_tiny(tmp_path, **places, text_mode="trained")
    folder = write_part(tmp_path / "weights", model, replace(TOLD, num_queries=32))
    engine = build_engine(load_route(folder, model, RUNTIME))
    for task, phrase in ((Task.CAPTION, ""), (Task.ANSWER, "how many dogs are there?"), (Task.MATCH, "a dog")):
        answer = one(engine, frame, task, phrase)
        assert (answer.status, bool(told(answer).text)) == (Status.OK, True)
