from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from miniature import build_tiny
from tiny import SHAPES, Shapes, write_shapes

from vision_llm_ros.config import MaskConfig, MaskTrainConfig
from vision_llm_ros.errors import InputError
from vision_llm_ros.language.phrases import Phrase
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.model.pixel_lm import PixelLM
from vision_llm_ros.training.refer import ReferTrainer, assign, learnable
from vision_llm_ros.training.refer_data import ReferBatch, ReferData

NETWORK = MaskConfig(candidates=8, width=16, num_heads=2, feedforward=24, grid=8, llm_layers=2, lora_rank=2)
TRAIN = MaskTrainConfig(steps=4, batch_size=2, warmup_steps=1, save_every=2, phrases=3, masks=3)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Shapes:
    return write_shapes(tmp_path_factory.mktemp("shapes"))


@pytest.fixture
def shared(tiny_folder: Path) -> VisionLLM:
    return build_tiny(tiny_folder)


def read(shared: VisionLLM, shapes: Shapes, train: MaskTrainConfig = TRAIN) -> ReferData:
    return ReferData(shared.config, train, shapes.annotations, shapes.images, [shapes.referring])


def trainer(shared: VisionLLM, shapes: Shapes, folder: Path, train: MaskTrainConfig = TRAIN) -> ReferTrainer:
    torch.manual_seed(0)
    network = PixelLM(NETWORK, shared)
    network.start(shared.llm, shared.tokenizer.scorer)
    return ReferTrainer(network, shared, read(shared, shapes, train), train, folder)


def test_a_batch_has_phrases_with_their_objects_and_masks(shared: VisionLLM, shapes: Shapes) -> None:
    for batch in read(shared, shapes).draw(12, (3,)):
        assert 1 <= len(batch.phrases) <= TRAIN.phrases
        assert batch.image_rgb_u8.shape == (1, 3, 96, 96)
        assert batch.meant.shape == (len(batch.phrases), len(batch.boxes_cxcywh))
        for index in batch.outlined.nonzero().flatten().tolist():
            assert batch.meant[:, index].any()
            assert 0 < batch.masks[index].mean() < 1


def test_masks_lie_in_their_boxes(shared: VisionLLM, shapes: Shapes) -> None:
    for batch in read(shared, shapes).draw(12, (4,)):
        for index in batch.outlined.nonzero().flatten().tolist():
            rows, columns = (batch.masks[index] > 0.5).nonzero().T
            x, y, width, height = (batch.boxes_cxcywh[index] * 96).tolist()
            assert abs(float(columns.float().mean()) + 0.5 - x) < 0.5 + 0.5 * width
            assert x - width / 2 - 1 <= columns.min() <= columns.max() <= x + width / 2 + 1
            assert y - height / 2 - 1 <= rows.min() <= rows.max() <= y + height / 2 + 1


def test_the_same_seed_draws_the_same(shared: VisionLLM, shapes: Shapes) -> None:
    first, second = (read(shared, shapes).draw(2, (5, 1)) for _ in range(2))
    assert [batch.phrases for batch in first] == [batch.phrases for batch in second]
    assert torch.equal(first[1].image_rgb_u8, second[1].image_rgb_u8)


def test_absent_classes_are_asked_for_too(shared: VisionLLM, shapes: Shapes) -> None:
    asked = [row.any().item() for batch in read(shared, shapes).draw(40, (6,)) for row in batch.meant]
    assert any(asked)
    assert not all(asked)


def test_without_outlines_there_is_nothing_to_learn_masks_from(
    shared: VisionLLM, shapes: Shapes, tmp_path: Path
) -> None:
    bare = tmp_path / "bare.json"
    text = shapes.annotations.read_text(encoding="utf-8")
    values = json.loads(text)
    values["annotations"] = [item | {"segmentation": []} for item in values["annotations"]]
    bare.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(InputError, match="no object has an outline"):
        ReferData(shared.config, TRAIN, bare, shapes.images, [])


def batch_of(boxes: list[list[float]], meant: list[bool], crowd: list[bool]) -> ReferBatch:
    count = len(boxes)
    return ReferBatch(
        torch.zeros(1, 3, 96, 96, dtype=torch.uint8),
        (Phrase("dogs", "dog"),),
        torch.tensor(boxes),
        torch.tensor([meant]),
        torch.tensor(crowd),
        torch.zeros(count, 96, 96),
        torch.zeros(count, dtype=torch.bool),
    )


def test_candidates_stand_for_what_they_overlap_and_those_between_are_left_open() -> None:
    batch = batch_of([[0.3, 0.3, 0.2, 0.2], [0.7, 0.7, 0.2, 0.2]], [True, False], [False, False])
    boxes = torch.tensor([[0.3, 0.3, 0.2, 0.2], [0.38, 0.3, 0.2, 0.2], [0.7, 0.7, 0.2, 0.2], [0.1, 0.9, 0.1, 0.1]])
    found = assign(boxes, torch.zeros(1, 4), batch)
    assert found.wanted.tolist() == [[True, False, False, False]]
    assert found.known.tolist() == [[True, True, True, True]]
    assert found.objects[0, 0] == 0


def test_what_overlaps_an_object_without_a_good_candidate_is_left_open() -> None:
    batch = batch_of([[0.3, 0.3, 0.2, 0.2]], [True], [False])
    found = assign(torch.tensor([[0.38, 0.3, 0.2, 0.2], [0.6, 0.3, 0.2, 0.2]]), torch.zeros(1, 2), batch)
    assert not found.wanted.any()
    assert found.known.tolist() == [[False, True]]


def test_of_several_candidates_of_an_object_the_best_alone_stands_for_it() -> None:
    batch = batch_of([[0.3, 0.3, 0.2, 0.2]], [True], [False])
    boxes = torch.tensor([[0.31, 0.3, 0.2, 0.2], [0.3, 0.3, 0.2, 0.2], [0.32, 0.3, 0.2, 0.2]])
    assert assign(boxes, torch.zeros(1, 3), batch).wanted.tolist() == [[False, True, False]]
    relevant = assign(boxes, torch.tensor([[0.0, 0.0, 4.0]]), batch)
    assert relevant.wanted.tolist() == [[False, False, True]]
    assert relevant.known.all()  # the others are told to be repetitions


def test_candidates_inside_a_crowd_are_left_open() -> None:
    batch = batch_of([[0.5, 0.5, 0.6, 0.6]], [True], [True])
    found = assign(torch.tensor([[0.5, 0.5, 0.1, 0.1], [0.05, 0.05, 0.1, 0.1]]), torch.zeros(1, 2), batch)
    assert not found.wanted.any()
    assert found.known.tolist() == [[False, True]]


@pytest.mark.parametrize("stage", [1, 2])
def test_a_stage_changes_what_learns_and_nothing_that_is_shared(
    stage: int, shared: VisionLLM, shapes: Shapes, tmp_path: Path
) -> None:
    train = MaskTrainConfig(stage=stage, steps=2, batch_size=2, warmup_steps=1, save_every=2, phrases=3, masks=3)
    work = trainer(shared, shapes, tmp_path, train)
    base, own = shared.llm.base_hash(), {key: value.clone() for key, value in shared.learned().items()}
    before = {key: value.clone() for key, value in work.learned().items()}
    work.run(lambda step, parts: None)
    changed = {key for key, value in work.learned().items() if not torch.equal(value, before[key])}
    assert shared.llm.base_hash() == base
    assert all(torch.equal(value, own[key]) for key, value in shared.learned().items())
    assert any(key.startswith("network.stress") for key in changed)
    assert ("network.to_llm.weight" in changed) == (stage == 2)
    assert any(key.startswith("adapter.") for key in changed) == (stage == 2)


def test_the_mask_losses_reach_fusion_and_gamma(shared: VisionLLM, shapes: Shapes, tmp_path: Path) -> None:
    work = trainer(shared, shapes, tmp_path)
    work.prepare()
    batch = work.data.draw(1, (8,))[0]
    with torch.no_grad():
        dense = shared.tokenizer.dense(shared.backbone(batch.image_rgb_u8)[1:])
        question = work.network.read(shared, batch.phrases)
        found = work.network.evidence.propose(dense, question.text, NETWORK.candidates)
    every = torch.ones(len(batch.phrases), 8, dtype=torch.bool)
    masks = torch.rand(8, 96, 96).round()
    boxed = replace(
        batch, boxes_cxcywh=found.boxes_cxcywh, meant=every, crowd=~every[0], masks=masks, outlined=every[0]
    )
    loss, parts = work.loss(boxed)
    loss.backward()  # type: ignore[no-untyped-call]
    assert {"text", "mask", "dice"} <= parts.keys()
    for parameter in (work.network.decoder.gamma, *work.network.decoder.fusion.parameters()):
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0


def test_a_resumed_run_ends_like_an_uninterrupted_one(shared: VisionLLM, shapes: Shapes, tmp_path: Path) -> None:
    def stop(step: int, parts: dict[str, float]) -> None:
        if step == 2:
            raise KeyboardInterrupt

    whole = trainer(copy.deepcopy(shared), shapes, tmp_path / "whole")
    whole.run(lambda step, parts: None)
    with pytest.raises(KeyboardInterrupt):
        trainer(copy.deepcopy(shared), shapes, tmp_path / "parts").run(stop)
    rest = trainer(copy.deepcopy(shared), shapes, tmp_path / "parts")
    assert rest.resume()
    rest.run(lambda step, parts: None)
    for key, value in whole.average.items():
        assert torch.allclose(rest.average[key], value, atol=1e-6), key


def test_only_what_is_stored_learns(shared: VisionLLM) -> None:
    network = PixelLM(NETWORK, shared)
    stored = {value.data_ptr() for value in network.learned(shared.llm).values()}
    for stage in (1, 2):
        learning = [p for group in learnable(network, shared, MaskTrainConfig(stage=stage)) for p in group["params"]]
        assert len({id(p) for p in learning}) == len(learning)
        assert all(p.data_ptr() in stored for p in learning)
    assert len(SHAPES) == 3
