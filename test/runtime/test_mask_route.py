from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from miniature import build_tiny, pictures

from vision_llm_ros.config import MaskConfig, RuntimeConfig
from vision_llm_ros.interfaces import Frame, Status, Task, TaskSpec
from vision_llm_ros.language.phrases import read_phrase, split_phrases
from vision_llm_ros.model import weights
from vision_llm_ros.model.candidates import meant
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.model.pixel_lm import PixelLM
from vision_llm_ros.runtime.engine import TorchEngine, load_further
from vision_llm_ros.runtime.mask_route import MaskRoute, asked, tell

NETWORK = MaskConfig(
    candidates=12, width=16, num_heads=2, feedforward=24, grid=8, llm_layers=2, lora_rank=2, threshold=0.0
)
EVERYTHING = RuntimeConfig(device="cpu", dtype="float32", threads=1, score_threshold=0.0)


@pytest.fixture(scope="module")
def folder(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the part `mask`, random."""
    torch.manual_seed(2)
    shared = build_tiny(tiny_folder)
    network = PixelLM(NETWORK, shared)
    where = tmp_path_factory.mktemp("weights") / "mask"
    weights.save(where, NETWORK, network.learned(shared.llm), ["segment"], {})
    return where


def engine_of(tiny_folder: Path, folder: Path, **changes: float) -> TorchEngine:
    model = build_tiny(tiny_folder)
    runtime = replace(EVERYTHING, **changes)  # type: ignore[arg-type]
    manifest = weights.Manifest(model.config, {"tokenizer.safetensors": "0" * 64}, ("detect",), {})
    return TorchEngine(model, manifest, runtime, load_further(folder.parent, model, runtime))


@pytest.fixture(scope="module")
def engine(tiny_folder: Path, folder: Path) -> TorchEngine:
    return engine_of(tiny_folder, folder)


@pytest.fixture
def frame() -> Frame:
    return Frame(np.ascontiguousarray(pictures(1, 160)[0].permute(1, 2, 0).numpy()[:120]))


def segment(phrase: str = "all people and every dog", **changes: object) -> TaskSpec:
    return TaskSpec(Task.SEGMENT, phrase=phrase, **changes)  # type: ignore[arg-type]


def test_an_engine_with_the_part_serves_segmentation(engine: TorchEngine, tiny_model: VisionLLM) -> None:
    assert Task.SEGMENT in engine.tasks


def test_masks_are_of_the_source_picture_with_tight_boxes_phrases_and_scores(engine: TorchEngine, frame: Frame) -> None:
    (answer,) = engine.perceive(frame, (segment(),))
    assert answer.status is Status.OK
    assert answer.masks
    for mask in answer.masks:
        assert mask.inside.shape == (120, 160)
        rows, columns = np.nonzero(mask.inside)
        assert mask.box_xyxy_px == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert mask.label in ("all people", "every dog")
        assert 0 < mask.score <= 1
    assert {"decide", "decode", "finish", "backbone"} <= answer.stage_ms.keys()


def test_the_text_has_a_mask_behind_every_phrase(engine: TorchEngine, frame: Frame) -> None:
    (answer,) = engine.perceive(frame, (segment(),))
    assert all(f"[{number}]" in answer.text for number in range(len(answer.masks)))


def test_no_target_is_an_honest_answer(tiny_folder: Path, folder: Path, frame: Frame) -> None:
    engine = engine_of(tiny_folder, folder)
    route = engine._routes[Task.SEGMENT]
    assert isinstance(route, MaskRoute)
    route.network.config = replace(NETWORK, threshold=1.0)
    (answer,) = engine.perceive(frame, (segment("the mug and all spoons"),))
    assert answer.status is Status.NOTHING_FOUND
    assert answer.masks == ()
    assert answer.text == "there is no mug and no spoon"


def test_a_phrase_is_answered_no_more_often_than_it_allows(engine: TorchEngine, frame: Frame) -> None:
    (one,) = engine.perceive(frame, (segment("the largest person"),))
    (two,) = engine.perceive(frame, (segment("two people"),))
    (most,) = engine.perceive(frame, (segment("people", max_objects=1),))
    assert len(one.masks) == 1
    assert len(two.masks) <= 2
    assert len(most.masks) == 1


def test_masks_of_a_phrase_show_different_objects(engine: TorchEngine, frame: Frame) -> None:
    (answer,) = engine.perceive(frame, (segment("people"),))
    for index, first in enumerate(answer.masks):
        for second in answer.masks[index + 1 :]:
            shared = (first.inside & second.inside).sum() / (first.inside | second.inside).sum()
            assert shared < 0.8


def test_only_candidates_of_the_region_count(engine: TorchEngine, frame: Frame) -> None:
    (everywhere,) = engine.perceive(frame, (segment("people"),))
    (right,) = engine.perceive(frame, (segment("people", region=(0.5, 0.0, 1.0, 1.0)),))
    assert len(right.masks) < len(everywhere.masks)


def test_masks_below_the_score_threshold_are_not_reported(
    tiny_folder: Path, folder: Path, engine: TorchEngine, frame: Frame
) -> None:
    (everything,) = engine.perceive(frame, (segment(),))
    scores = sorted(mask.score for mask in everything.masks)
    (some,) = engine_of(tiny_folder, folder, score_threshold=scores[-1]).perceive(frame, (segment(),))
    assert len(some.masks) < len(everything.masks)


def test_the_sentence_is_parted_and_classes_stand_in_for_it() -> None:
    assert [phrase.text for phrase in asked(segment("the dog and cats"))] == ["dog", "cats"]
    assert [phrase.text for phrase in asked(TaskSpec(Task.SEGMENT, ("dog", "cat")))] == ["dog", "cat"]


def test_the_answer_reads_as_text() -> None:
    from vision_llm_ros.interfaces import Mask

    phrases = split_phrases("the mug, two spoons and a fork")
    inside = np.ones((2, 2), bool)
    labels = ("mug", "two spoons", "two spoons")
    masks = tuple(Mask(label, 0.5, inside, (0.0, 0.0, 2.0, 2.0)) for label in labels)
    assert tell(phrases, masks) == "mug is [0], two spoons are [1] and [2]; there is no fork"


def test_detection_is_the_same_with_and_without_the_part(tiny_folder: Path, engine: TorchEngine, frame: Frame) -> None:
    model = build_tiny(tiny_folder)
    manifest = weights.Manifest(model.config, {"tokenizer.safetensors": "0" * 64}, ("detect",), {})
    alone = TorchEngine(copy.deepcopy(model), manifest, EVERYTHING)
    spec = TaskSpec(Task.DETECT, ("person", "dog"))
    (with_part,), (without,) = (each.perceive(frame, (spec,)) for each in (engine, alone))
    assert [d.box_xyxy_px for d in with_part.detections] == [d.box_xyxy_px for d in without.detections]


class Meanings:
    """Stands for a text encoder: "pets" is near to dogs and cats, nothing else to anything."""

    def __call__(self, phrases: tuple[str, ...]) -> torch.Tensor:
        axes = {"dog": 0, "cat": 1}
        rows = torch.zeros(len(phrases), 3)
        for row, phrase in zip(rows, phrases, strict=True):
            row[axes.get(phrase, 2)] = 1.0 if phrase in axes else 0.0
            if phrase == "pets":
                row[:2] = 0.7
        return rows


def test_a_kind_of_things_is_asked_for_by_its_classes() -> None:
    encoder: Any = Meanings()
    assert [phrase.text for phrase in meant(encoder, read_phrase("pets"))] == ["cat", "dog"]
    for text in ("everything i can fly", "the red car", "the pet", "all people"):
        assert meant(encoder, read_phrase(text)) == (read_phrase(text),)
