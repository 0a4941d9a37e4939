from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from miniature import build_tiny, pictures

from vision_llm_ros.config import MaskConfig, RuntimeConfig
from vision_llm_ros.interfaces import Frame, Status, Task, TaskSpec
from vision_llm_ros.language.phrases import split_phrases
from vision_llm_ros.model import weights
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.model.pixel_lm import PixelLM
from vision_llm_ros.runtime.engine import TorchEngine, load_further
from vision_llm_ros.runtime.mask_edges import MaskEdges
from vision_llm_ros.runtime.mask_route import MaskRoute, _allowed, _Target, asked, tell

NETWORK = MaskConfig(candidates=12, width=16, num_heads=2, feedforward=24, grid=8, llm_layers=2, lora_rank=2)
EVERYTHING = RuntimeConfig(device="cpu", dtype="float32", threads=1, score_threshold=0.0, mask_threshold=0.0)


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
    engine = engine_of(tiny_folder, folder, mask_threshold=1.0)
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


def test_the_score_threshold_of_boxes_hides_no_masks(
    tiny_folder: Path, folder: Path, engine: TorchEngine, frame: Frame
) -> None:
    (everything,) = engine.perceive(frame, (segment(),))
    (same,) = engine_of(tiny_folder, folder, score_threshold=1.0).perceive(frame, (segment(),))
    assert len(same.masks) == len(everything.masks)


def test_colour_words_choose_among_objects_alike(engine: TorchEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same candidates with the same masks: only what the pixels show can tell them apart."""
    image = np.full((120, 160, 3), 128, np.uint8)
    image[20:60, 10:60], image[20:60, 90:140] = (210, 20, 20), (20, 40, 210)
    masks = [np.zeros((120, 160), bool) for _ in range(2)]
    masks[0][20:60, 10:60] = masks[1][20:60, 90:140] = True
    route = engine.route(Task.SEGMENT)
    assert isinstance(route, MaskRoute)

    def answers(words: str) -> list[bool]:
        asked_for = route._read(split_phrases(words))
        targets = [_Target(0, 0, 0.6), _Target(0, 1, 0.8)]
        drawn = iter(masks)
        monkeypatch.setattr(MaskEdges, "to_source", lambda self, row: next(drawn))
        view = engine._view(Frame(image))
        found = route._masks(torch.ones(2, 8, 8), targets, asked_for, view)
        kept = _allowed(found, asked_for, 0)
        return [any(mask.inside is one for mask in kept) for one in masks]

    assert answers("the red bus") == [True, False]
    assert answers("the blue bus") == [False, True]
    assert answers("the bus") == [False, True]  # the surer one
    assert answers("all buses") == [True, True]


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
    assert tell(split_phrases("everything I can ride"), ()) == 'nothing here is "everything i can ride"'


def test_detection_is_the_same_with_and_without_the_part(tiny_folder: Path, engine: TorchEngine, frame: Frame) -> None:
    model = build_tiny(tiny_folder)
    manifest = weights.Manifest(model.config, {"tokenizer.safetensors": "0" * 64}, ("detect",), {})
    alone = TorchEngine(copy.deepcopy(model), manifest, EVERYTHING)
    spec = TaskSpec(Task.DETECT, ("person", "dog"))
    (with_part,), (without,) = (each.perceive(frame, (spec,)) for each in (engine, alone))
    assert [d.box_xyxy_px for d in with_part.detections] == [d.box_xyxy_px for d in without.detections]


def test_grounding_gives_the_box_of_one_object(
    tiny_folder: Path, folder: Path, engine: TorchEngine, frame: Frame
) -> None:
    spec = TaskSpec(Task.GROUND, ("person",), "the person")
    (answer,) = engine.perceive(frame, (spec,))
    (found,) = answer.detections
    left, top, right, bottom = found.box_xyxy_px
    assert found.label == "person" and 0 <= left < right <= 160 and 0 <= top < bottom <= 120
    assert "decode" not in answer.stage_ms  # no mask is drawn for a box
    (coloured,) = engine.perceive(frame, (replace(spec, phrase="the gray person"),))
    assert "decode" in coloured.stage_ms and len(coloured.detections) <= 1
    (nobody,) = engine_of(tiny_folder, folder, mask_threshold=1.0).perceive(frame, (spec,))
    assert nobody.status is Status.NOTHING_FOUND and nobody.detections == ()


def test_the_set_decoder_grounds_where_it_is_asked_to(tiny_folder: Path, folder: Path) -> None:
    engine = engine_of(tiny_folder, folder, ground_route="decoder")  # type: ignore[arg-type]
    assert not isinstance(engine.route(Task.GROUND), MaskRoute)
    assert isinstance(engine.route(Task.SEGMENT), MaskRoute)
