from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from vision_llm_ros.config import RestoreConfig, RuntimeConfig
from vision_llm_ros.errors import ConfigError, WeightsError
from vision_llm_ros.interfaces import Frame, Perception, Restored, Status, Task, TaskSpec
from vision_llm_ros.model import weights
from vision_llm_ros.model.detail import KINDS
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.model.restoration import TASKS
from vision_llm_ros.model.restorer import Restorer
from vision_llm_ros.runtime.engine import TorchEngine
from vision_llm_ros.runtime.restore_route import RestoreRoute, load_route
from vision_llm_ros.runtime.restored_first import on_restored

CONFIG = RestoreConfig(
    tile_px=16,
    patch_px=4,
    overlap_px=4,
    width=40,
    num_heads=4,
    feedforward=32,
    detail_width=4,
    estimator_width=4,
    task_tokens=3,
    llm_layers=2,
)
RUNTIME = RuntimeConfig(device="cpu", dtype="float32", threads=1)


@pytest.fixture
def model(tiny_model: VisionLLM) -> VisionLLM:
    return copy.deepcopy(tiny_model)


def trained(model: VisionLLM, strengths: dict[str, float]) -> Restorer:
    """A network whose estimator always sees the damage named, and whose residual path does something."""
    torch.manual_seed(0)
    restorer = Restorer(CONFIG, model.llm.width)
    with torch.no_grad():
        last = restorer.estimator.judge[-1]
        last.weight.zero_()
        last.bias.copy_(torch.tensor([strengths.get(kind, 0.001) for kind in KINDS]).logit())
        for leave in restorer.detail.leave:
            leave.weight.normal_(std=0.05)
    return restorer


def route(model: VisionLLM, **strengths: float) -> RestoreRoute:
    return RestoreRoute(model, trained(model, strengths), "abc")


def engine(model: VisionLLM, **strengths: float) -> TorchEngine:
    manifest = weights.Manifest(model.config, {"tokenizer.safetensors": "0" * 64}, ("detect",), {})
    return TorchEngine(model, manifest, RUNTIME, [route(model, **strengths)])


@pytest.fixture
def frame() -> Frame:
    pixels = np.random.default_rng(0).integers(1, 256, (40, 52, 3)).astype(np.uint8)
    return Frame(pixels, stamp_ns=7, frame_id="front", camera="front")


def restore(kind: str = "") -> TaskSpec:
    return TaskSpec(Task.RESTORE, restore_kind=kind)


def test_a_frame_with_nothing_wrong_comes_back_untouched_and_that_is_said(model: VisionLLM, frame: Frame) -> None:
    (answer,) = engine(model).perceive(frame, (restore(),))
    assert answer.restored is not None
    assert (answer.status, answer.restored.kind) == (Status.OK, "none")
    assert np.array_equal(answer.restored.image_rgb_u8, frame.image_rgb_u8)
    assert "nothing is wrong" in answer.text
    assert answer.restored.quality_before == answer.restored.quality_after == pytest.approx(0.999, abs=1e-3)


def test_the_estimator_chooses_the_kind_and_says_so(model: VisionLLM, frame: Frame) -> None:
    (answer,) = engine(model, derain=0.7).perceive(frame, (restore(),))
    assert answer.restored is not None
    assert answer.restored.kind == "derain"
    assert "rain (estimated strength 70%)" in answer.text
    assert not np.array_equal(answer.restored.image_rgb_u8, frame.image_rgb_u8)
    assert answer.restored.quality_before == pytest.approx(0.3, abs=1e-3)
    assert {"estimate", "restore"} <= answer.stage_ms.keys()


def test_a_kind_that_is_named_but_not_there_leaves_the_frame_alone(model: VisionLLM, frame: Frame) -> None:
    whole = engine(model, derain=0.7)
    (answer,) = whole.perceive(frame, (restore("deblur"),))
    assert answer.restored is not None
    assert np.array_equal(answer.restored.image_rgb_u8, frame.image_rgb_u8)
    assert "no blur to be seen" in answer.text
    (answer,) = whole.perceive(frame, (restore("derain"),))
    assert answer.restored is not None
    assert answer.restored.kind == "derain"


@pytest.mark.parametrize("kind", ["rotate", "flip", "reconstruct"])
def test_geometry_is_exact_and_reconstruction_keeps_the_size(model: VisionLLM, frame: Frame, kind: str) -> None:
    (answer,) = engine(model, denoise=0.5).perceive(frame, (restore(kind),))
    assert answer.restored is not None
    pixels = answer.restored.image_rgb_u8
    if kind == "rotate":
        assert np.array_equal(np.rot90(pixels, -1), frame.image_rgb_u8)
    elif kind == "flip":
        assert np.array_equal(pixels[:, ::-1], frame.image_rgb_u8)
    else:
        assert pixels.shape == frame.image_rgb_u8.shape


def test_a_kind_that_is_not_served_is_rejected_with_those_that_are(model: VisionLLM, frame: Frame) -> None:
    (answer,) = engine(model).perceive(frame, (restore("inpaint"),))
    assert answer.status is Status.REJECTED
    assert "'inpaint'" in answer.text
    assert "denoise" in answer.text


@pytest.mark.parametrize("size", [(1, 1), (7, 90), (16, 16), (33, 17)])
def test_frames_of_any_size_are_restored(model: VisionLLM, size: tuple[int, int]) -> None:
    pixels = np.full((*size, 3), 90, np.uint8)
    (answer,) = engine(model, denoise=0.9).perceive(Frame(pixels), (restore(),))
    assert answer.restored is not None
    assert answer.restored.image_rgb_u8.shape == pixels.shape


def test_an_open_gate_brings_in_the_language_model_and_leaves_it_as_it_was(model: VisionLLM, frame: Frame) -> None:
    speaking = route(model, denoise=0.9)
    with torch.no_grad():
        speaking.restorer.blend["weight"][TASKS.index("denoise")] = 0.8
    manifest = weights.Manifest(model.config, {"tokenizer.safetensors": "0" * 64}, ("detect",), {})
    before = model.llm.base_hash()
    (told,) = TorchEngine(model, manifest, RUNTIME, [speaking]).perceive(frame, (restore(),))
    assert model.llm.base_hash() == before
    (plain,) = engine(model, denoise=0.9).perceive(frame, (restore(),))
    assert told.restored is not None
    assert plain.restored is not None
    assert not np.array_equal(told.restored.image_rgb_u8, plain.restored.image_rgb_u8)


@pytest.mark.parametrize("path", ["language", "residual"])
def test_one_path_alone_restores_when_asked(model: VisionLLM, tmp_path: Path, frame: Frame, path: str) -> None:
    stored(model, tmp_path)
    served = load_route(tmp_path, model, replace(RUNTIME, restore_route=path))
    manifest = weights.Manifest(model.config, {"tokenizer.safetensors": "0" * 64}, ("detect",), {})
    (answer,) = TorchEngine(model, manifest, RUNTIME, [served]).perceive(frame, (restore("denoise"),))
    image = torch.from_numpy(frame.image_rgb_u8).permute(2, 0, 1).float() / 255
    alone, restorer = path == "language", served.restorer
    with torch.no_grad():
        by_itself = restorer.by_language(model.llm, image, "denoise")
        expected = by_itself if alone else restorer.restore(None, image, "denoise")
    assert answer.restored is not None
    assert np.abs(answer.restored.image_rgb_u8 / 255 - expected.permute(1, 2, 0).numpy()).max() < 0.51 / 255
    assert answer.text.endswith("by the language model alone") == alone


def test_the_language_model_alone_needs_its_weights(model: VisionLLM, tmp_path: Path) -> None:
    stored(model, tmp_path, without="language.")
    with pytest.raises(ConfigError, match=r"restore_route=language needs .*language\.safetensors"):
        load_route(tmp_path, model, replace(RUNTIME, restore_route="language"))


def test_the_next_task_sees_the_restored_frame_with_the_same_stamp(frame: Frame) -> None:
    seen: list[tuple[Frame, TaskSpec]] = []
    better = np.full_like(frame.image_rgb_u8, 9)

    def perceive(given: Frame, spec: TaskSpec) -> Perception:
        seen.append((given, spec))
        if spec.task is Task.RESTORE:
            return Perception(spec.task, text="removed rain", restored=Restored(better, "derain", 0.2, 0.9))
        return Perception(spec.task, Status.NOTHING_FOUND, "no dog")

    spec = TaskSpec(Task.DETECT, ("dog",), restore_first=True, restore_kind="derain")
    answer = on_restored(perceive, frame, spec)
    assert (answer.status, answer.text) == (Status.NOTHING_FOUND, "removed rain; no dog")
    (first, cleaning), (second, looking) = seen
    assert first is frame
    assert (cleaning.task, cleaning.restore_kind) == (Task.RESTORE, "derain")
    assert np.array_equal(second.image_rgb_u8, better)
    assert (second.stamp_ns, second.frame_id, second.camera) == (frame.stamp_ns, frame.frame_id, frame.camera)
    assert looking == replace(spec, restore_first=False)


def test_restored_then_detected_in_one_engine(model: VisionLLM, frame: Frame) -> None:
    spec = TaskSpec(Task.DETECT, ("dog",), restore_first=True)
    (answer,) = engine(model, denoise=0.9).perceive(frame, (spec,))
    assert answer.task is Task.DETECT
    assert answer.text.startswith("removed noise")
    assert {"restore", "tokenizer"} <= answer.stage_ms.keys()


def stored(model: VisionLLM, folder: Path, without: str = "") -> Restorer:
    restorer = trained(model, {"denoise": 0.6})
    state = {key: value for key, value in restorer.learned().items() if not without or not key.startswith(without)}
    weights.save(folder, CONFIG, state, ("restore",), {})
    return restorer


def test_stored_weights_restore_alike(model: VisionLLM, tmp_path: Path, frame: Frame) -> None:
    restorer = stored(model, tmp_path)
    with torch.no_grad():
        for value in restorer.learned().values():
            value.copy_(value.half())
    loaded = load_route(tmp_path, model, RUNTIME)
    image = torch.rand(3, 20, 30)
    with torch.no_grad():
        expected = restorer.eval().restore(None, image, "denoise")
        assert torch.equal(loaded.restorer.restore(None, image, "denoise"), expected)


def test_weights_without_a_language_branch_serve_all_the_same(model: VisionLLM, tmp_path: Path) -> None:
    stored(model, tmp_path, without="language.")
    assert not load_route(tmp_path, model, RUNTIME).restorer.speaks("denoise")


def test_weights_without_the_residual_path_are_refused(model: VisionLLM, tmp_path: Path) -> None:
    stored(model, tmp_path, without="detail.")
    with pytest.raises(WeightsError, match="lacks detail"):
        load_route(tmp_path, model, RUNTIME)
