from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor

from vision_llm_ros.config import MaskConfig, RuntimeConfig
from vision_llm_ros.interfaces import Mask
from vision_llm_ros.language.phrases import Phrase
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.model.pixel_lm import PixelLM
from vision_llm_ros.runtime.mask_route import MaskRoute, _allowed, _Asked, _Target

BEDS, DOGS = Phrase("beds", "bed"), Phrase("two dogs", "dog", most=2)


def square(left: int, top: int, side: int) -> Tensor:
    logits = torch.full((32, 32), -5.0)
    logits[top : top + side, left : left + side] = 5.0
    return logits


@pytest.fixture
def route(tiny_model: VisionLLM) -> MaskRoute:
    config = MaskConfig(width=16, num_heads=2, feedforward=24, llm_layers=2)
    model = copy.deepcopy(tiny_model)
    return MaskRoute(model, PixelLM(config, model), "0" * 12, RuntimeConfig())


def asked(route: MaskRoute) -> _Asked:
    return _Asked((BEDS, DOGS), (BEDS.text, DOGS.text), route.network.read(route.model, (BEDS, DOGS)))


def kept(route: MaskRoute, masks: list[Tensor], of: list[int]) -> list[int]:
    targets = [_Target(phrase, number, 0.9 - number / 100) for number, phrase in enumerate(of)]
    return route._distinct(torch.stack(masks), targets, asked(route))


def test_a_part_of_a_surer_mask_is_no_further_object_of_its_phrase(route: MaskRoute) -> None:
    bed, pillow, beside = square(2, 2, 20), square(4, 4, 6), square(24, 24, 6)
    assert kept(route, [bed, pillow, beside], [0, 0, 0]) == [0, 2]
    assert kept(route, [pillow, bed, beside], [0, 0, 0]) == [0, 2]


def test_objects_of_different_phrases_may_lie_in_each_other(route: MaskRoute) -> None:
    assert kept(route, [square(2, 2, 20), square(4, 4, 6)], [0, 1]) == [0, 1]


def test_neighbours_that_overlap_a_little_both_stay(route: MaskRoute) -> None:
    assert kept(route, [square(2, 2, 10), square(9, 2, 10)], [0, 0]) == [0, 1]


def test_no_more_than_a_phrase_or_the_command_allows(route: MaskRoute) -> None:
    mask = Mask("", 0.5, np.ones((2, 2), bool), (0.0, 0.0, 2.0, 2.0))
    assert len(_allowed([(1, mask)] * 3, asked(route), 0)) == 2
    assert len(_allowed([(0, mask)] * 3, asked(route), 0)) == 3
    assert len(_allowed([(0, mask), (1, mask), (1, mask)], asked(route), 1)) == 1
