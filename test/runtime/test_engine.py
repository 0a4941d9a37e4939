from __future__ import annotations

import copy
import logging
import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from miniature import CLASSES, build_tiny, pictures, tiny_config

from vision_llm_ros.config import ModelConfig, RuntimeConfig
from vision_llm_ros.errors import ConfigError, EngineError, UnsupportedTaskError, WeightsError
from vision_llm_ros.interfaces import Caption, Engine, Frame, Perception, Prompt, PromptKind, Status, Task, TaskSpec
from vision_llm_ros.model import weights
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.model.letterbox import Letterbox
from vision_llm_ros.runtime import engine as room
from vision_llm_ros.runtime.engine import TorchEngine, load_engine, load_model
from vision_llm_ros.runtime.regions import marked
from vision_llm_ros.runtime.routes import Stopwatch, View
from vision_llm_ros.runtime.video_route import box_features

TRAINED = ("detect", "ground", "polygon")
OVER_TIME = (Task.TRACK, Task.RECALL)
EVERYTHING = RuntimeConfig(
    device="cpu", dtype="float32", threads=1, score_threshold=0.0, objectness_threshold=0.0, iou_threshold=1.0
)


@pytest.fixture(autouse=True)
def same_threads() -> Iterator[None]:
    """An engine sets the number of threads of the whole process."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def manifest(config: ModelConfig, trained: tuple[str, ...] = TRAINED) -> weights.Manifest[ModelConfig]:
    return weights.Manifest(config, {"tokenizer.safetensors": "0" * 64}, trained, {})


def engine_of(model: VisionLLM, **changes: object) -> TorchEngine:
    return TorchEngine(copy.deepcopy(model), manifest(model.config), replace(EVERYTHING, **changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def engine(tiny_model: VisionLLM) -> TorchEngine:
    return engine_of(tiny_model)


@pytest.fixture
def frame() -> Frame:
    return Frame(np.ascontiguousarray(pictures(1, 160)[0].permute(1, 2, 0).numpy()[:120]))


def detect(*classes: str, **changes: object) -> TaskSpec:
    return TaskSpec(Task.DETECT, classes or CLASSES, **changes)  # type: ignore[arg-type]


def test_an_engine_fulfils_the_protocol(engine: TorchEngine) -> None:
    assert isinstance(engine, Engine)
    assert (engine.name, engine.device, engine.dtype) == ("tiny", "cpu", "float32")
    assert engine.tasks == {Task.DETECT, Task.GROUND, Task.POLYGON, *OVER_TIME}
    assert len(engine.weights_hash) == 12


def test_detections_lie_in_the_source_picture_best_first(engine: TorchEngine, frame: Frame) -> None:
    (answer,) = engine.perceive(frame, (detect(),))
    assert answer.status is Status.OK
    scores = [found.score for found in answer.detections]
    assert scores == sorted(scores, reverse=True)
    for found in answer.detections:
        x_min, y_min, x_max, y_max = found.box_xyxy_px
        assert 0 <= x_min < x_max <= 160
        assert 0 <= y_min < y_max <= 120
        assert found.label == CLASSES[found.class_index]
        assert found.polygon_xy_px is None
    assert set(answer.stage_ms) == {"prepare", "backbone", "instruction", "tokenizer", "decode", "finish"}


def test_every_spec_is_answered_in_order_and_as_if_alone(engine: TorchEngine, frame: Frame) -> None:
    specs = (detect("dog"), TaskSpec(Task.GROUND, ("red cup",), "red cup"), detect(num_points=2))
    answers = engine.perceive(frame, specs)
    assert [answer.task for answer in answers] == [spec.task for spec in specs]
    for spec, together in zip(specs, answers, strict=True):
        (alone,) = engine.perceive(frame, (spec,))
        assert [d.box_xyxy_px for d in alone.detections] == [d.box_xyxy_px for d in together.detections]


def test_a_class_that_is_not_listed_is_never_answered(engine: TorchEngine, frame: Frame) -> None:
    for omitted in CLASSES:
        listed = tuple(name for name in CLASSES if name != omitted)
        (answer,) = engine.perceive(frame, (detect(*listed),))
        assert {found.label for found in answer.detections} == set(listed)


def test_an_unsupported_task_names_those_served(engine: TorchEngine, frame: Frame) -> None:
    with pytest.raises(UnsupportedTaskError, match=r"'tiny' cannot caption; it serves detect, ground, polygon"):
        engine.perceive(frame, (detect(), TaskSpec(Task.CAPTION)))


def test_polygons_have_the_wanted_points_inside_their_box(engine: TorchEngine, frame: Frame) -> None:
    (answer,) = engine.perceive(frame, (TaskSpec(Task.POLYGON, CLASSES, num_points=8),))
    for found in answer.detections:
        assert found.polygon_xy_px is not None
        assert found.polygon_xy_px.shape == (8, 2)
        tight = (*found.polygon_xy_px.min(0), *found.polygon_xy_px.max(0))
        assert tight == pytest.approx(found.box_xyxy_px)


def test_grounding_gives_at_most_one(engine: TorchEngine, frame: Frame) -> None:
    (answer,) = engine.perceive(frame, (TaskSpec(Task.GROUND, ("red cup",), "red cup"),))
    assert len(answer.detections) == 1


@pytest.mark.parametrize("most", [1, 3])
def test_max_objects_keeps_the_best(engine: TorchEngine, frame: Frame, most: int) -> None:
    (everything,) = engine.perceive(frame, (detect(),))
    (few,) = engine.perceive(frame, (detect(max_objects=most),))
    assert few.detections == everything.detections[:most]


REGION = (0.5, 0.25, 1.0, 1.0)


def centre(found: object) -> tuple[float, float]:
    x_min, y_min, x_max, y_max = found.box_xyxy_px  # type: ignore[attr-defined]
    return (x_min + x_max) / 2 / 160, (y_min + y_max) / 2 / 120


def test_only_objects_with_their_centre_in_the_region_count(engine: TorchEngine, frame: Frame) -> None:
    (everything,) = engine.perceive(frame, (detect(),))
    (part,) = engine.perceive(frame, (detect(region=REGION),))
    inside = [d for d in everything.detections if centre(d)[0] >= 0.5 and centre(d)[1] >= 0.25]
    assert 0 < len(inside) < len(everything.detections)
    assert list(part.detections) == inside


def test_stronger_objects_outside_the_region_do_not_crowd_out_those_inside(
    tiny_model: VisionLLM, frame: Frame, engine: TorchEngine
) -> None:
    strict = engine_of(tiny_model, max_detections=1)
    (everything,) = engine.perceive(frame, (detect("dog"),))
    x = centre(everything.detections[0])[0]
    region = (0.0, 0.0, x - 1e-3, 1.0) if x > 0.5 else (x + 1e-3, 0.0, 1.0, 1.0)
    (part,) = strict.perceive(frame, (detect("dog", region=region),))
    assert len(part.detections) == 1


def test_nothing_found_is_said(tiny_model: VisionLLM, frame: Frame) -> None:
    for changes in ({"score_threshold": 1.0}, {"score_threshold": 1.0, "objectness_threshold": 1.0}):
        (answer,) = engine_of(tiny_model, **changes).perceive(frame, (detect(),))
        assert answer.status is Status.NOTHING_FOUND
        assert answer.detections == ()


def test_words_are_encoded_once(tiny_model: VisionLLM, frame: Frame, monkeypatch: pytest.MonkeyPatch) -> None:
    encode, encoded = tiny_model.text_encoder.encode, []

    def count(phrases: tuple[str, ...]) -> torch.Tensor:
        encoded.extend(phrases)
        return encode(phrases)

    monkeypatch.setattr(tiny_model.text_encoder, "encode", count)
    engine, spec = engine_of(tiny_model), detect("a green mug", "a blue plate")
    engine.perceive(frame, (spec,))
    assert {"a green mug", "a blue plate"} <= set(encoded)
    encoded.clear()
    engine.perceive(frame, (spec,))
    assert encoded == []


def test_overlapping_boxes_of_a_class_are_reported_once(tiny_model: VisionLLM, frame: Frame) -> None:
    model = copy.deepcopy(tiny_model)
    for head in model.tokenizer.dense.deltas:
        head.get_parameter("bias").data.view(-1, 4)[:, 2:] = 8.0  # large boxes, so that some overlap
    (loose,) = engine_of(model, iou_threshold=1.0).perceive(frame, (detect("dog"),))
    (tight,) = engine_of(model, iou_threshold=0.0).perceive(frame, (detect("dog"),))
    assert 0 < len(tight.detections) < len(loose.detections)


def test_more_classes_than_tokens_are_answered_in_windows(tiny_folder: Path, frame: Frame) -> None:
    model = build_tiny(tiny_folder, class_tokens=3)
    engine = engine_of(model)
    names = tuple(f"thing {number}" for number in range(7))
    (answer,) = engine.perceive(frame, (detect(*names),))
    assert {found.label for found in answer.detections} == set(names)
    assert all(found.label == names[found.class_index] for found in answer.detections)
    scores = [found.score for found in answer.detections]
    assert scores == sorted(scores, reverse=True)


def test_own_instructions_are_used_as_they_stand(engine: TorchEngine, frame: Frame) -> None:
    text = 'look for <class>. <class>={"widget":<c2>} <range>=[-32,32] output: (c,x1,y1,x2,y2)'
    (answer,) = engine.perceive(frame, (TaskSpec(Task.DETECT, ("widget",), instruction=text),))
    assert {found.label for found in answer.detections} == {"widget"}


def test_an_instruction_with_a_token_the_model_lacks_is_refused(tiny_folder: Path, frame: Frame) -> None:
    engine = engine_of(build_tiny(tiny_folder, class_tokens=3))
    text = 'look for <class>. <class>={"widget":<c9>} <range>=[-32,32] output: (c,x1,y1,x2,y2)'
    with pytest.raises(ConfigError, match="<c9>"):
        engine.perceive(frame, (TaskSpec(Task.DETECT, ("widget",), instruction=text),))


def test_a_failure_inside_names_the_frame(tiny_model: VisionLLM, frame: Frame) -> None:
    engine = engine_of(tiny_model)
    engine.model.tokenizer.queries.data = engine.model.tokenizer.queries.data[:, :3]
    with pytest.raises(EngineError, match=r"tiny failed on a \(160, 120\) frame"):
        engine.perceive(frame, (detect(),))


def test_commands_used_last_are_remembered_and_no_more(tiny_model: VisionLLM, frame: Frame) -> None:
    engine = engine_of(tiny_model)
    for number in range(20):
        engine.perceive(frame, (detect(f"thing {number}"),))
    assert len(engine.sets._words) == 16
    kept = dict(engine.sets._words)
    engine.perceive(frame, (detect("thing 19"),))
    assert all(engine.sets._words[key] is value for key, value in kept.items())


@pytest.mark.parametrize("size", [(1, 1), (3, 700), (64, 48), (2000, 10)])
def test_pictures_of_any_size_are_served(engine: TorchEngine, size: tuple[int, int]) -> None:
    (answer,) = engine.perceive(Frame(np.full((size[1], size[0], 3), 90, np.uint8)), (detect(),))
    assert answer.status in (Status.OK, Status.NOTHING_FOUND)


def test_a_box_in_the_square_comes_back_in_source_pixels(engine: TorchEngine) -> None:
    """Through `_detections`, with and without keeping the aspect ratio."""
    points = torch.tensor([[[0.25, 0.25], [0.5, 0.375]]])
    scores = torch.tensor([[0.9]])
    for stretch, expected in ((True, (160, 120, 320, 180)), (False, (160, 160, 320, 240))):
        transform = Letterbox((640, 480), 96, stretch)
        (found,) = engine.sets._detections(points, scores, ("dog",), transform, detect("dog"))
        assert found.box_xyxy_px == pytest.approx(expected, abs=0.01)


def test_warm_up_runs_the_whole_path(engine: TorchEngine) -> None:
    engine.warm_up()


# loading


@pytest.fixture(scope="module")
def stored(tiny_model: VisionLLM, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    weights.save(folder, tiny_model.config, tiny_model.learned(), TRAINED, {})
    return folder


def preset(folder: Path, config: ModelConfig, **changes: object) -> str:
    path = folder / "preset.yaml"
    path.write_text(yaml.safe_dump({**asdict(config), **changes}))
    return str(path)


def test_a_stored_engine_answers_as_the_one_it_came_from(
    stored: Path, tiny_model: VisionLLM, tmp_path: Path, frame: Frame, caplog: pytest.LogCaptureFixture
) -> None:
    runtime = replace(EVERYTHING, weights=str(stored))
    with caplog.at_level(logging.INFO, "vision_llm_ros"):
        loaded = load_engine(preset(tmp_path, tiny_model.config), runtime)
    assert f"Loaded tiny {loaded.weights_hash} on cpu, float32" in caplog.text
    rounded = copy.deepcopy(tiny_model)
    for value in rounded.learned().values():
        value.data.copy_(value.half())
    (ours,), (theirs,) = (e.perceive(frame, (detect(),)) for e in (loaded, engine_of(rounded)))
    assert ours.detections == theirs.detections


def test_in_bfloat16_the_language_model_is_held_in_bfloat16(
    stored: Path, tiny_model: VisionLLM, tmp_path: Path, frame: Frame
) -> None:
    runtime = replace(EVERYTHING, weights=str(stored), dtype="bfloat16")
    engine = load_engine(preset(tmp_path, tiny_model.config), runtime)
    assert isinstance(engine, TorchEngine)
    assert engine.dtype == "bfloat16"
    assert engine.model.llm.base.embed_tokens.weight.dtype is torch.bfloat16
    (answer,) = engine.perceive(frame, (detect(),))
    assert answer.status is Status.OK
    assert all(0 < found.score < 1 for found in answer.detections)


def test_a_trained_text_encoder_comes_back(tiny_folder: Path, tmp_path: Path) -> None:
    model = build_tiny(tiny_folder, text_mode="trained")
    weights.save(tmp_path, model.config, model.learned(), TRAINED, {})
    loaded, _ = load_model(tmp_path)
    before, after = (m.text_encoder(("dog",)) for m in (model, loaded.eval()))
    assert torch.allclose(before, after, atol=1e-2)
    plain = VisionLLM(tiny_config(tiny_folder)).eval().text_encoder(("dog",))
    assert not torch.allclose(plain, after, atol=5e-2)


def test_pretrained_parts_may_lie_elsewhere(
    stored: Path, tiny_model: VisionLLM, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    elsewhere = tmp_path / "elsewhere"
    moved = tiny_config(elsewhere)
    load_model(stored, moved)
    assert f"trained with text_encoder '{tiny_model.config.text_encoder}'" in caplog.text


def test_weights_of_another_configuration_name_the_difference(stored: Path, tiny_model: VisionLLM) -> None:
    with pytest.raises(ConfigError, match="do not fit preset 'tiny': num_queries 12, not 13"):
        load_model(stored, replace(tiny_model.config, num_queries=13))


def test_weights_of_another_shape_are_refused(tiny_folder: Path, tmp_path: Path) -> None:
    model = VisionLLM(tiny_config(tiny_folder))
    state = {**model.learned(), "decoder.background": torch.zeros(7)}
    weights.save(tmp_path, model.config, state, TRAINED, {})
    with pytest.raises(WeightsError, match=r"decoder\.background has shape \[7\], expected \[48\]"):
        load_model(tmp_path)


def test_a_missing_module_is_named(stored: Path, tmp_path: Path) -> None:
    for path in stored.iterdir():
        if path.name != "adapter.safetensors":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(WeightsError, match=r"adapter\.safetensors is missing"):
        load_model(tmp_path)


def test_base_without_weights_says_how_to_get_them() -> None:
    with pytest.raises(WeightsError, match=r"no trained weights.*vision-llm train detect --preset base.*`weights`"):
        load_engine("base", RuntimeConfig(device="cpu"))


def test_nano_without_weights_says_to_reinstall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "weights_path", lambda: tmp_path)
    with pytest.raises(WeightsError, match="install the package again, or train"):
        load_engine("nano")


def test_an_unknown_preset_lists_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"No nanoo\.yaml .*nano\.yaml"):
        load_engine("nanoo")


def test_a_device_that_is_not_there_is_refused_before_anything_is_loaded(
    stored: Path, tiny_model: VisionLLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    runtime = RuntimeConfig(weights=str(stored), device="cuda:0")
    with pytest.raises(ConfigError, match="'cuda:0' asked for, but this PyTorch sees 0 CUDA devices"):
        load_engine(preset(tmp_path, tiny_model.config), runtime)


def test_objects_keep_their_ids_on_the_models_own_boxes_and_looks(tiny_model: VisionLLM, frame: Frame) -> None:
    engine = engine_of(tiny_model, track_score=0.0, track_weak_score=0.0, max_detections=5)
    spec = TaskSpec(Task.TRACK, CLASSES)
    first, second = (engine.perceive(replace(frame, stamp_ns=stamp), (spec,))[0] for stamp in (10**9, 11 * 10**8))
    assert first.status is Status.OK
    assert [d.track_id for d in first.detections] == list(range(1, 1 + len(first.detections)))
    assert [d.track_id for d in second.detections] == [d.track_id for d in first.detections]
    assert {"backbone", "embed"} <= first.stage_ms.keys()


def test_frames_seen_for_other_commands_can_be_asked_about(tiny_model: VisionLLM, frame: Frame) -> None:
    engine = engine_of(tiny_model, track_score=0.0, track_weak_score=0.0, memory_s=2.0, max_detections=5)
    for stamp in range(10):
        engine.perceive(replace(frame, stamp_ns=10**9 + stamp * 2 * 10**8), (detect(),))
    (answer,) = engine.perceive(
        replace(frame, stamp_ns=3 * 10**9), (TaskSpec(Task.RECALL, ("person",), "did anyone pass?"),)
    )
    assert answer.caption is not None
    assert answer.caption.text.startswith("yes: ")
    assert answer.caption.seen_ns == (10**9, 3 * 10**9)


def test_looks_are_of_unit_length_and_tell_parts_of_a_picture_apart(tiny_model: VisionLLM, frame: Frame) -> None:
    view = View(frame, tiny_model, lambda spec: Perception(spec.task))
    boxes = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0], [0.02, 0.0, 0.5, 0.5]])
    with torch.inference_mode():
        looks = box_features(view.pyramid[:2], boxes)
    assert torch.allclose(looks.norm(dim=1), torch.ones(3), atol=1e-5)
    alike = looks @ looks.T
    assert alike[0, 2] > 0.9 > alike[0, 1]


def test_with_a_point_only_the_thing_there_is_reported(engine: TorchEngine, frame: Frame) -> None:
    (everything,) = engine.perceive(frame, (detect(),))
    target = everything.detections[-1]
    x, y = ((target.box_xyxy_px[axis] + target.box_xyxy_px[axis + 2]) / 2 for axis in (0, 1))
    point = Prompt(PromptKind.POINT, ((x / 160, y / 120),))
    (pointed,) = engine.perceive(frame, (marked(detect(), point),))
    assert len(pointed.detections) == 1
    x_min, y_min, x_max, y_max = pointed.detections[0].box_xyxy_px
    assert x_min <= x <= x_max and y_min <= y <= y_max


class Echo:
    """A further route that builds on a detection of the same frame."""

    tasks = frozenset({Task.CAPTION})
    weights_hash = "echo"

    def answer(self, view: View, spec: TaskSpec, watch: Stopwatch) -> Perception:
        with watch.stage("echo"):
            found = view.perceive(detect()).detections
        return Perception(spec.task, caption=Caption(f"{len(found)} objects", 1.0))


def test_a_further_route_serves_its_task_and_may_ask_the_others(tiny_model: VisionLLM, frame: Frame) -> None:
    engine = TorchEngine(copy.deepcopy(tiny_model), manifest(tiny_model.config), EVERYTHING, [Echo()])
    (seen,) = engine.perceive(frame, (detect(),))
    (told,) = engine.perceive(frame, (TaskSpec(Task.CAPTION),))
    assert told.caption is not None
    assert told.caption.text == f"{len(seen.detections)} objects"
    assert {"backbone", "echo"} <= told.stage_ms.keys()
    assert engine.tasks == {*(Task(name) for name in TRAINED), *OVER_TIME, Task.CAPTION}
    assert engine.weights_hash != engine_of(tiny_model).weights_hash


def test_weights_of_an_unknown_system_are_left_alone(
    stored: Path, tiny_model: VisionLLM, caplog: pytest.LogCaptureFixture
) -> None:
    weights.save(stored / "later", tiny_model.config, {"x.y": torch.ones(1)}, ("caption",), {})
    try:
        assert room.load_further(stored, tiny_model, EVERYTHING) == []
        assert "later" in caplog.text
    finally:
        shutil.rmtree(stored / "later")
