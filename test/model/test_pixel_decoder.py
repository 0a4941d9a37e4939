from __future__ import annotations

import dataclasses

import pytest
import torch

from vision_llm_ros.config import MaskConfig
from vision_llm_ros.language.vocabulary import SEG_TOKENS
from vision_llm_ros.model.pixel_decoder import NUM_SCALES, TOKENS_PER_SCALE, PixelDecoder

CONFIG = MaskConfig(width=16, num_heads=2, feedforward=24)
BOXES = torch.tensor([[0.3, 0.4, 0.2, 0.4], [0.7, 0.5, 0.5, 0.3]])


def decoder(config: MaskConfig = CONFIG) -> PixelDecoder:
    torch.manual_seed(0)
    return PixelDecoder(config, (12, 8)).eval()


def maps() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(1, 12, 5, 5, generator=generator), torch.randn(1, 8, 10, 10, generator=generator)]


def segs(count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randn(count, NUM_SCALES, TOKENS_PER_SCALE, CONFIG.width, generator=generator)


def test_every_target_has_a_mask_of_twice_the_fine_map() -> None:
    network = decoder()
    found = network(network.project(maps()), segs(), BOXES)
    assert found.combined.shape == (2, 20, 20)
    assert [mask.shape for mask in found.scales] == [(2, 10, 10), (2, 20, 20)]
    assert NUM_SCALES * TOKENS_PER_SCALE == SEG_TOKENS


def test_the_combined_mask_is_the_sum_of_the_scales_weighted_by_gamma() -> None:
    network = decoder()
    network.gamma.data = torch.tensor([0.0, 2.0])
    found = network(network.project(maps()), segs(), BOXES)
    assert torch.allclose(found.combined, 2 * found.scales[1])


def test_targets_do_not_see_each_other() -> None:
    network = decoder()
    projected = network.project(maps())
    both = network(projected, segs(), BOXES).combined
    alone = network(projected, segs()[1:], BOXES[1:]).combined
    assert torch.allclose(both[1:], alone, atol=1e-5)


def test_the_coarse_mask_gates_the_fine_one() -> None:
    network = decoder(dataclasses.replace(CONFIG, box_prompt=False))
    projected = network.project(maps())
    before = network(projected, segs(), BOXES).scales[1]
    with torch.no_grad():
        network.decoders[0].hypernet[-1].bias += 5.0
    assert not torch.allclose(network(projected, segs(), BOXES).scales[1], before)


def test_a_mask_starts_from_its_box_only_with_the_box_prompt() -> None:
    network = decoder()
    for scale in network.decoders:
        torch.nn.init.zeros_(scale.hypernet[-1].weight)
        torch.nn.init.zeros_(scale.hypernet[-1].bias)
    inside = network(network.project(maps()), segs(), BOXES).combined > 0
    assert inside[0, 8, 6]
    assert not inside[0, 8, 14]
    assert inside[1, 10, 14]
    blind = decoder(dataclasses.replace(CONFIG, box_prompt=False))
    projected = blind.project(maps())
    assert torch.equal(blind(projected, segs(), BOXES).combined, blind(projected, segs(), BOXES.flip(0)).combined)


@pytest.mark.parametrize("name", ["gamma", "fusion.0.weight", "fusion.1.weight"])
def test_gamma_and_fusion_are_stored_and_learn(name: str) -> None:
    network = decoder()
    assert name in network.state_dict()
    network(network.project(maps()), segs(), BOXES).combined.sigmoid().sum().backward()
    gradient = network.get_parameter(name).grad
    assert gradient is not None
    assert gradient.abs().sum() > 0


def test_each_scale_reads_its_own_three_tokens() -> None:
    network = decoder()
    projected = network.project(maps())
    changed = segs()
    changed[:, 1] += 1.0
    before, after = network(projected, segs(), BOXES), network(projected, changed, BOXES)
    assert torch.equal(before.scales[0], after.scales[0])
    assert not torch.allclose(before.scales[1], after.scales[1])
