from __future__ import annotations

import dataclasses

import pytest
import torch

from vision_llm_ros.config import MaskConfig
from vision_llm_ros.language.vocabulary import SEG_TOKENS
from vision_llm_ros.model.pixel_decoder import NUM_SCALES, TOKENS_PER_SCALE, MaskLogits, PixelDecoder, sample_windows

CONFIG = MaskConfig(width=16, num_heads=2, feedforward=24, grid=8)
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


def test_every_target_has_a_mask_of_twice_the_fine_grid() -> None:
    network = decoder()
    found = network(network.project(maps()), segs(), BOXES)
    assert found.combined.shape == (2, 16, 16)
    assert [mask.shape for mask in found.scales] == [(2, 8, 8), (2, 16, 16)]
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


def silenced(network: PixelDecoder) -> PixelDecoder:
    """Whatever is seen, no scale adds anything to its first mask."""
    for scale in network.decoders:
        torch.nn.init.zeros_(scale.hypernet[-1].weight)
        torch.nn.init.zeros_(scale.hypernet[-1].bias)
    return network


def test_a_mask_starts_as_its_box() -> None:
    network = silenced(decoder())
    inside = network(network.project(maps()), segs(), BOXES).on_square(100) > 0
    for mask, (x, y, width, height) in zip(inside, (BOXES * 100).tolist(), strict=True):
        assert abs(int(mask.any(0).sum()) - width) <= 6
        assert abs(int(mask.any(1).sum()) - height) <= 6
        assert mask[round(y), round(x)]


def test_without_the_box_prompt_the_whole_picture_is_decoded_whatever_the_box() -> None:
    network = decoder(dataclasses.replace(CONFIG, box_prompt=False))
    found = network(network.project(maps()), segs(), BOXES)
    assert torch.equal(found.combined, network(network.project(maps()), segs(), BOXES.flip(0)).combined)
    assert found.windows_cxcywh.tolist() == [[0.5, 0.5, 1.0, 1.0]] * 2


def test_what_is_seen_in_a_window_moves_with_it() -> None:
    network = decoder()
    fine = torch.randn(1, 8, 40, 40, generator=torch.Generator().manual_seed(4))
    window = torch.tensor([[0.4, 0.5, 0.2, 0.2]])
    there = sample_windows(fine, window, 8)
    moved = sample_windows(fine.roll(8, -1), window + torch.tensor([[0.2, 0.0, 0.0, 0.0]]), 8)
    assert torch.allclose(there, moved, atol=1e-4)
    assert network.grid == 8


def test_windows_of_one_map_and_of_a_map_each_agree() -> None:
    fine = torch.randn(1, 8, 20, 20, generator=torch.Generator().manual_seed(5))
    together = sample_windows(fine, BOXES, 6)
    assert torch.allclose(together, sample_windows(fine.expand(2, -1, -1, -1), BOXES, 6), atol=1e-6)


def test_a_window_put_back_on_the_square_keeps_its_place_to_a_tenth_of_a_cell() -> None:
    cells = (torch.arange(32) + 0.5) / 32
    ramp = (cells - 0.5).expand(1, 32, 32)  # zero in the middle of the window
    window = torch.tensor([[0.37, 0.5, 0.4, 0.4]])
    pasted = MaskLogits(ramp, [ramp], window).on_square(200)[0, 100]
    edge = int((pasted > 0).nonzero()[0]) / 200
    assert abs(edge - 0.37) <= 0.1 * 0.4 / 32 + 1 / 200
    assert (pasted[: int(0.16 * 200)] < -1).all()


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
