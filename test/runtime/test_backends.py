from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from experts import write_detector, write_grounding_dino, write_restorer, write_segmenter, write_vlm
from fakes import FakeEngine

import vision_llm_ros
from vision_llm_ros.config import RuntimeConfig
from vision_llm_ros.errors import ConfigError, UnsupportedTaskError, WeightsError
from vision_llm_ros.interfaces import Engine, Frame, Status, Task, TaskSpec
from vision_llm_ros.runtime.backends import Health, MixedEngine, load_backend, names, with_backends
from vision_llm_ros.runtime.backends.experts import Experts

FRAME = Frame(np.random.default_rng(0).integers(0, 256, (60, 100, 3), np.uint8))
CPU = RuntimeConfig(device="cpu", score_threshold=0.0, max_detections=5)
COLOURS = TaskSpec(Task.DETECT, ("person", "red cup"))


class FakeBackend(FakeEngine):
    """A back end that is well, or not."""

    well = True

    def health(self) -> Health:
        return Health(self.well, "as told")


@pytest.fixture(scope="module")
def experts(tmp_path_factory: pytest.TempPathFactory) -> Experts:
    folder = tmp_path_factory.mktemp("experts")
    return Experts(
        replace(
            CPU,
            expert_detector=str(write_detector(folder / "owl")),
            expert_segmenter=str(write_segmenter(folder / "sam")),
            expert_restorer=str(write_restorer(folder / "swin")),
        )
    )


def test_experts_fulfil_the_protocol_and_serve_what_is_named(experts: Experts) -> None:
    assert isinstance(experts, Engine)
    assert experts.tasks == {Task.DETECT, Task.GROUND, Task.SEGMENT, Task.RESTORE}
    assert len(experts.weights_hash) == 12
    experts.warm_up()
    assert experts.health().ok


def test_a_zero_shot_detector_finds_the_commands_classes_in_source_pixels(experts: Experts) -> None:
    (answer,) = experts.perceive(FRAME, (COLOURS,))
    assert answer.status is Status.OK
    assert {found.label for found in answer.detections} <= set(COLOURS.classes)
    assert all(COLOURS.classes[found.class_index] == found.label for found in answer.detections)
    for found in answer.detections:
        x_min, y_min, x_max, y_max = found.box_xyxy_px
        assert 0 <= x_min < x_max <= 100 and 0 <= y_min < y_max <= 60
    scores = [found.score for found in answer.detections]
    assert scores == sorted(scores, reverse=True)


def test_a_region_keeps_the_experts_to_it(experts: Experts) -> None:
    (answer,) = experts.perceive(FRAME, (replace(COLOURS, region=(0.0, 0.0, 0.5, 1.0)),))
    assert all((found.box_xyxy_px[0] + found.box_xyxy_px[2]) / 2 <= 50 for found in answer.detections)


def test_a_promptable_segmenter_turns_boxes_into_masks_of_the_frames_size(experts: Experts) -> None:
    (answer,) = experts.perceive(FRAME, (TaskSpec(Task.SEGMENT, ("person",), "the person", max_objects=2),))
    assert answer.status in (Status.OK, Status.NOTHING_FOUND)
    assert len(answer.masks) <= 2
    assert all(mask.inside.shape == (60, 100) and mask.inside.any() for mask in answer.masks)


def test_a_restored_frame_has_the_size_of_its_source(experts: Experts) -> None:
    (answer,) = experts.perceive(FRAME, (TaskSpec(Task.RESTORE),))
    assert answer.restored is not None
    assert answer.restored.image_rgb_u8.shape == FRAME.image_rgb_u8.shape


def test_grounding_dino_finds_the_commands_classes_too(tmp_path: Path) -> None:
    runtime = replace(CPU, expert_detector=str(write_grounding_dino(tmp_path / "dino")))
    (answer,) = Experts(runtime).perceive(FRAME, (COLOURS,))
    assert answer.status in (Status.OK, Status.NOTHING_FOUND)
    for found in answer.detections:
        x_min, y_min, x_max, y_max = found.box_xyxy_px
        assert found.label in COLOURS.classes and 0 <= x_min < x_max <= 100 and 0 <= y_min < y_max <= 60


def test_a_vlm_tells_and_answers_with_a_confidence(tmp_path: Path) -> None:
    runtime = replace(CPU, expert_vlm=str(write_vlm(tmp_path / "vlm")), expert_tokens=3)
    specs = (TaskSpec(Task.CAPTION), TaskSpec(Task.ANSWER, phrase="what is it?", region=(0.0, 0.0, 0.5, 1.0)))
    told, answered = Experts(runtime).perceive(FRAME, specs)
    for answer in (told, answered):
        assert answer.caption is not None and 0 < answer.caption.score < 1
    assert told.caption is not None and answered.caption is not None
    assert (told.caption.question, answered.caption.question) == ("", "what is it?")


def test_a_task_without_a_checkpoint_is_not_served(experts: Experts) -> None:
    with pytest.raises(UnsupportedTaskError, match="cannot caption"):
        experts.perceive(FRAME, (TaskSpec(Task.CAPTION),))


@pytest.mark.parametrize(
    ("settings", "error", "reason"),
    [
        ({}, ConfigError, "name a folder or a hub id in one of: expert_detector"),
        ({"expert_segmenter": "x/y"}, ConfigError, "needs expert_detector"),
        ({"expert_detector": "IDEA/dino"}, ConfigError, "needs the full commit hash"),
        ({"expert_detector": "/no/such/folder"}, WeightsError, "no folder /no/such/folder"),
    ],
)
def test_what_cannot_be_loaded_is_refused_with_what_to_do(
    settings: dict[str, str], error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        Experts(replace(CPU, **settings))  # type: ignore[arg-type]


def test_without_a_network_the_error_has_the_command_that_brings_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match=f"hf download no/such --revision {'0' * 40} --local-dir FOLDER"):
        Experts(replace(CPU, expert_detector="no/such", expert_detector_revision="0" * 40))


def test_each_task_goes_to_the_back_end_chosen_for_it() -> None:
    own, other = FakeEngine(), FakeBackend(name="other", weights_hash="f" * 12)
    engine = MixedEngine(own, {Task.DETECT: other})
    specs = (TaskSpec(Task.CAPTION), COLOURS, TaskSpec(Task.ANSWER, phrase="why?"))
    answers = engine.perceive(FRAME, specs)
    assert [answer.task for answer in answers] == [spec.task for spec in specs]
    assert [call[1] for call in own.calls] == [(specs[0], specs[2])]
    assert [call[1] for call in other.calls] == [(specs[1],)]
    assert (engine.name, engine.tasks) == ("fake+other", own.tasks)
    assert engine.weights_hash not in (own.weights_hash, other.weights_hash)


def test_a_picture_restored_by_one_is_looked_at_by_another() -> None:
    own, other = FakeEngine(), FakeBackend(name="other")
    MixedEngine(own, {Task.DETECT: other}).perceive(FRAME, (replace(COLOURS, restore_first=True),))
    assert np.array_equal(other.calls[0][0].image_rgb_u8, 255 - FRAME.image_rgb_u8)


def test_a_back_end_that_is_not_well_fails_the_warm_up() -> None:
    other = FakeBackend(name="other")
    engine = MixedEngine(FakeEngine(), {Task.DETECT: other})
    engine.warm_up()
    assert other.warmed_up == 1
    other.well = False
    with pytest.raises(WeightsError, match="'other' cannot serve: as told"):
        engine.warm_up()


THIRD_PARTY = """
from test_backends import FakeBackend

def load(runtime):
    return FakeBackend(name="third", tasks=frozenset({"detect"}))

def broken(runtime):
    raise OSError("no such device")
"""


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another package that offers back ends, as pip would have installed it."""
    (tmp_path / "third_party.py").write_text(THIRD_PARTY)
    info = tmp_path / "third_party-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 1.0\n")
    entries = "[vision_llm_ros.backends]\nthird = third_party:load\nbroken = third_party:broken\n"
    (info / "entry_points.txt").write_text(entries)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("third_party")
def test_another_package_offers_a_back_end_by_an_entry_point() -> None:
    assert {"experts", "third", "broken"} <= set(names())
    engine = with_backends(FakeEngine(), replace(CPU, backends=("detect=third",)))
    assert engine.name == "fake+third"
    assert load_backend("third", CPU).health().ok


@pytest.mark.usefixtures("third_party")
@pytest.mark.parametrize(
    ("entry", "error", "reason"),
    [
        ("detect=nobody", ConfigError, "No back end 'nobody'; there are: broken, experts, third"),
        ("detect", ConfigError, "expected TASK=BACK_END"),
        ("dance=third", ConfigError, "expected TASK=BACK_END"),
        ("caption=third", ConfigError, "'third' does not serve caption; as it is set up it serves: detect"),
        ("detect=broken", WeightsError, "does not load: OSError: no such device"),
    ],
)
def test_a_bad_choice_is_refused_with_the_reason(entry: str, error: type[Exception], reason: str) -> None:
    with pytest.raises(error, match=reason):
        with_backends(FakeEngine(), replace(CPU, backends=(entry,)))


def test_the_example_of_the_documentation_is_a_back_end() -> None:
    text = (Path(__file__).parents[2] / "docs" / "vitron.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.+?)```", text, re.DOTALL)
    module: dict[str, Any] = {}
    exec(example, module)
    backend = module["load"](CPU)
    assert isinstance(backend, Engine)
    assert backend.health().ok
    assert [answer.task for answer in backend.perceive(FRAME, (COLOURS,))] == [Task.DETECT]


def test_no_module_runs_code_that_comes_with_a_checkpoint() -> None:
    package = Path(vision_llm_ros.__file__).parent
    trusting = [
        path.name for path in package.rglob("*.py") if re.search(r"trust_remote_code\s*=\s*True", path.read_text())
    ]
    assert trusting == []


def test_without_a_choice_the_engine_stays_as_it_is() -> None:
    engine = FakeEngine()
    assert with_backends(engine, CPU) is engine
