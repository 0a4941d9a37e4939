from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from vision_llm_ros.config import RestoreConfig
from vision_llm_ros.errors import ConfigError
from vision_llm_ros.model.autoencoder import MaskedAutoencoder, patchify, unpatchify
from vision_llm_ros.model.damage import NUM_STATISTICS, DamageEstimator
from vision_llm_ros.model.detail import KINDS, DetailNet, fill_holes, find_holes
from vision_llm_ros.model.llm import LanguageModel
from vision_llm_ros.model.restoration import TASKS, LanguageRestorer, place_words
from vision_llm_ros.model.restorer import Restorer
from vision_llm_ros.model.tiles import Tiling

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


@pytest.fixture(scope="module")
def llm(tiny_folder: Path) -> LanguageModel:
    return LanguageModel(str(tiny_folder / "llama"))


@pytest.fixture
def branch(llm: LanguageModel) -> LanguageRestorer:
    torch.manual_seed(0)
    return LanguageRestorer(CONFIG, llm.width)


def features(tiles: int = 2, seed: int = 0) -> Tensor:
    return torch.randn(tiles, CONFIG.num_tokens, CONFIG.width, generator=torch.Generator().manual_seed(seed))


def test_patches_come_back_in_place() -> None:
    tiles = torch.rand(2, 3, 16, 16)
    patches = patchify(tiles, 4)
    assert patches.shape == (2, 16, 48)
    assert torch.equal(patches[1, 5].view(3, 4, 4), tiles[1, :, 4:8, 4:8])
    assert torch.equal(unpatchify(patches, 4), tiles)


def test_an_autoencoder_of_all_components_gives_every_tile_back_in_order() -> None:
    torch.manual_seed(0)
    config = RestoreConfig(tile_px=16, patch_px=8, overlap_px=4, width=196, num_heads=4, feedforward=8)
    module = MaskedAutoencoder(config)
    module.start_from(torch.rand(400, 192))
    with torch.no_grad():
        module.decoder_places.zero_()
        tiles = torch.rand(3, 3, 16, 16)
        assert torch.allclose(module(tiles), tiles, atol=1e-4)
        encoded = module.encode(tiles)
    assert torch.equal(encoded[0, :, -4:], torch.eye(4))


def test_hidden_patches_do_not_reach_the_encoder() -> None:
    torch.manual_seed(0)
    module = MaskedAutoencoder(CONFIG)
    for block in module.encoder:
        torch.nn.init.normal_(block.out.weight)
    tiles = torch.rand(1, 3, 16, 16)
    kept = torch.tensor([[0, 5, 7]])
    changed = tiles.clone()
    changed[:, :, 12:] = 0
    assert torch.equal(module.encode(tiles, kept), module.encode(changed, kept))
    assert not torch.equal(module.encode(tiles), module.encode(changed))
    assert module.decode(module.encode(tiles, kept), kept).shape == tiles.shape


def test_task_tokens_start_at_zero_and_everything_learnt_gets_a_gradient(
    llm: LanguageModel, branch: LanguageRestorer
) -> None:
    assert not branch.tasks.any()
    answer = branch(llm, features(8), torch.arange(len(TASKS)), features(8, 1))
    (answer.features.square().mean() + answer.text_loss).backward()
    for name, parameter in branch.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.flatten(1).any(1).all() if name == "tasks" else parameter.grad.any(), name
    assert all(parameter.grad is None for parameter in llm.base.parameters())


@pytest.mark.parametrize("tasks", [("flip",), TASKS])
def test_what_learns_of_a_task_is_two_linear_layers_and_its_tokens(llm: LanguageModel, tasks: tuple[str, ...]) -> None:
    branch = LanguageRestorer(replace(CONFIG, tasks=",".join(tasks)), llm.width)
    width, hidden = CONFIG.width, llm.width
    into, out = width * hidden + hidden, hidden * width + width
    of_a_task = out + CONFIG.task_tokens * hidden
    assert sum(p.numel() for p in branch.parameters()) == into + len(tasks) * of_a_task
    paper = 1024 * 4096 + 4096 + 4096 * 1024 + 1024 + 10 * 4096
    assert paper == 4_198_400 + 4_195_328 + 40_960


@pytest.mark.parametrize("aligned", [False, True])
def test_cached_generation_equals_the_uncached_and_the_taught_pass(llm: LanguageModel, aligned: bool) -> None:
    torch.manual_seed(0)
    branch = LanguageRestorer(replace(CONFIG, aligned=aligned), llm.width)
    with torch.no_grad():
        branch.into.weight.mul_(0.1)  # what is fed back shrinks rounding errors rather than doubling them each time
    damaged, tasks = features(3), torch.tensor([0, 4, 5])
    cached = branch.generate(llm, damaged, tasks)
    assert cached.shape == damaged.shape
    assert torch.allclose(cached, branch.generate(llm, damaged, tasks, cached=False), atol=1e-4)
    with torch.no_grad():
        taught = branch(llm, damaged, tasks, cached).features
    assert torch.allclose(cached, taught, atol=1e-4)


def test_a_batch_answers_as_its_tiles_do_alone(llm: LanguageModel, branch: LanguageRestorer) -> None:
    damaged, tasks = features(3), torch.tensor([0, 1, 2])
    with torch.no_grad():
        branch.tasks.normal_()
        branch.into.weight.mul_(0.1)
    together = branch.generate(llm, damaged, tasks)
    alone = torch.cat([branch.generate(llm, damaged[i : i + 1], tasks[i : i + 1]) for i in range(3)])
    assert torch.allclose(together, alone, atol=1e-4)


def test_a_token_is_blind_to_those_after_it(llm: LanguageModel, branch: LanguageRestorer) -> None:
    damaged, tasks, clean = features(1), torch.tensor([0]), features(1, 1)
    changed = clean.clone()
    changed[:, 9:] += 1
    first, second = (branch(llm, damaged, tasks, value).features for value in (clean, changed))
    assert torch.allclose(first[:, :10], second[:, :10], atol=1e-5)
    assert not torch.allclose(first[:, 10:], second[:, 10:], atol=1e-3)


def test_an_aligned_branch_starts_as_the_reconstruction_and_learns_everywhere(llm: LanguageModel) -> None:
    branch = LanguageRestorer(replace(CONFIG, aligned=True), llm.width)
    branch.start_from(features(4).flatten(0, 1), place_words(llm, CONFIG.num_tokens))
    damaged, tasks = features(2), torch.tensor([0, 1])
    assert torch.allclose(branch.generate(llm, damaged, tasks), damaged, atol=1e-5)
    with torch.no_grad():
        branch.out.weight.normal_()
    branch(llm, damaged, tasks, features(2, 1)).features.square().mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in branch.parameters())


def test_every_task_has_a_linear_map_of_its_own(llm: LanguageModel) -> None:
    branch = LanguageRestorer(replace(CONFIG, aligned=True), llm.width)
    branch.start_from(features(4).flatten(0, 1), place_words(llm, CONFIG.num_tokens))
    assert branch.skip is not None
    inputs, deblur, even = torch.randn(200, CONFIG.width), branch.place("deblur"), torch.ones(200)
    branch.skip.solve(deblur, inputs, 2 * inputs + 1, even, 1e-9, even)
    damaged, tasks = features(2), torch.tensor([deblur, branch.place("denoise")])
    strong = torch.ones(2)
    for answer in (branch.generate(llm, damaged, tasks, strong), branch.at_once(llm, damaged, tasks, strong).features):
        assert torch.allclose(answer, torch.stack([2 * damaged[0] + 1, damaged[1]]), atol=1e-4)


def test_the_text_is_learnt_from_as_many_tiles_as_asked_for(llm: LanguageModel, branch: LanguageRestorer) -> None:
    damaged, tasks, given = features(3), torch.tensor([0, 1, 2]), features(3, 1)
    whole, none = (branch(llm, damaged, tasks, given, texts=texts) for texts in (None, 0))
    assert torch.allclose(whole.features, none.features)
    assert float(none.text_loss) == 0
    each = [branch(llm, damaged[i : i + 1], tasks[i : i + 1], given[i : i + 1]).text_loss for i in range(3)]
    assert torch.allclose(whole.text_loss, torch.stack(each).mean(), atol=1e-4)
    assert torch.allclose(
        branch(llm, damaged, tasks, given, texts=2).text_loss, torch.stack(each[:2]).mean(), atol=1e-4
    )


def test_at_once_every_token_sees_every_other_and_none_its_place(llm: LanguageModel, branch: LanguageRestorer) -> None:
    damaged, tasks = features(1), torch.tensor([0])
    order = torch.randperm(damaged.shape[1])
    with torch.no_grad():
        straight = branch.at_once(llm, damaged, tasks).features
        shuffled = branch.at_once(llm, damaged[:, order], tasks).features
    assert torch.allclose(straight[:, order], shuffled, atol=1e-3)
    changed = damaged.clone()
    changed[:, -1] += 1
    with torch.no_grad():
        assert not torch.allclose(branch.at_once(llm, changed, tasks).features[:, 0], straight[:, 0], atol=1e-5)


def test_the_layer_out_is_solved_by_least_squares(llm: LanguageModel, branch: LanguageRestorer) -> None:
    branch.start_from(features(4).flatten(0, 1), place_words(llm, CONFIG.num_tokens))
    states = torch.randn(500, llm.width)
    wanted = states @ torch.randn(llm.width, CONFIG.width) + 1
    branch.out.weight.data.zero_()
    branch.out.solve(3, states, wanted, ridge=1e-9)
    assert torch.allclose(branch.out(states[None], torch.tensor([3]))[0], wanted, atol=1e-2)
    assert not branch.out(states[None], torch.tensor([2])).any()


def test_a_task_that_was_not_learnt_is_named(llm: LanguageModel) -> None:
    restorer = Restorer(replace(CONFIG, tasks="denoise"), llm.width)
    with pytest.raises(ConfigError, match="knows denoise; it has not learnt 'flip'"):
        restorer.by_language(llm, torch.rand(3, 20, 20), "flip")
    with pytest.raises(ConfigError, match="got 'dream'"):
        Restorer(replace(CONFIG, tasks="denoise, dream"), llm.width)


def test_restoring_leaves_the_language_model_as_it_is(llm: LanguageModel, branch: LanguageRestorer) -> None:
    llm.add_adapter("other", 2, 4, 0.0)
    for key, value in llm.adapter_state("other").items():
        if "lora_B" in key:
            value.data.normal_()
    before = llm.base_hash()
    with_adapter = branch.generate(llm, features(), torch.tensor([0, 1]))
    for value in llm.adapter_state("other").values():
        value.data.zero_()
    assert torch.equal(with_adapter, branch.generate(llm, features(), torch.tensor([0, 1])))
    assert llm.base_hash() == before


@pytest.mark.parametrize("size", [(16, 16), (20, 30), (10, 12), (33, 16)])
def test_tiles_join_to_the_picture_they_were_cut_from(size: tuple[int, int]) -> None:
    tiling, image = Tiling(size, 16, 4), torch.rand(3, *size)
    tiles = tiling.cut(image)
    assert torch.allclose(tiling.join(tiles), image, atol=1e-6)
    assert torch.allclose(tiling.join(tiles.rot90(1, (-2, -1)), "rotate"), image.rot90(1, (1, 2)), atol=1e-6)
    assert torch.allclose(tiling.join(tiles.flip(-1), "flip"), image.flip(2), atol=1e-6)


def test_a_seam_between_unequal_tiles_is_a_ramp() -> None:
    tiling = Tiling((16, 28), 16, 4)
    tiles = torch.stack([torch.zeros(3, 16, 16), torch.ones(3, 16, 16)])
    row = tiling.join(tiles)[0, 8]
    assert (row[:12] == 0).all()
    assert (row[16:] == 1).all()
    assert float(row.diff().max()) < 0.3


def stirred_detail() -> DetailNet:
    torch.manual_seed(0)
    net = DetailNet(CONFIG)
    for last in net.leave:
        torch.nn.init.normal_(last.weight, std=0.1)
    return net.eval()


def test_only_the_holes_of_a_picture_with_holes_change() -> None:
    image = torch.rand(1, 3, 18, 22) * 0.9 + 0.1
    image[:, :, 4:8, 4:8] = 0
    restored = stirred_detail()(image, torch.tensor([KINDS.index("mask")]))
    holes = find_holes(image).expand_as(image) > 0
    assert torch.equal(restored[~holes], image[~holes])
    assert (restored[holes] > 0).any()
    other = stirred_detail()(image, torch.tensor([KINDS.index("denoise")]))
    assert not torch.equal(other[~holes], image[~holes])


def test_a_hole_in_a_plain_picture_is_filled_with_its_colour() -> None:
    image = torch.full((1, 3, 12, 12), 0.6)
    image[:, :, 4:8, 4:8] = 0
    assert torch.allclose(fill_holes(image, find_holes(image)), torch.full_like(image, 0.6), atol=1e-5)


def test_pictures_of_different_kinds_in_a_batch_are_independent() -> None:
    images, kinds = torch.rand(2, 3, 16, 16), torch.tensor([0, 4])
    images[:, :, 3, 3] = 0
    net = stirred_detail()
    alone = torch.cat([net(images[i : i + 1], kinds[i : i + 1]) for i in range(2)])
    assert torch.allclose(net(images, kinds), alone, atol=1e-5)


def test_every_parameter_of_the_networks_gets_a_gradient() -> None:
    for net, given in (
        (stirred_detail(), (torch.rand(5, 3, 16, 16).round(decimals=1), torch.arange(5))),
        (DamageEstimator(CONFIG), (torch.rand(2, NUM_STATISTICS),)),
    ):
        net(*given).square().mean().backward()
        for name, parameter in net.named_parameters():
            assert parameter.grad is not None, name


def test_a_closed_gate_leaves_the_picture_to_the_residual_path_and_an_open_one_does_not(llm: LanguageModel) -> None:
    torch.manual_seed(0)
    restorer, image = Restorer(CONFIG, llm.width).eval(), torch.rand(3, 20, 30)
    with torch.no_grad():
        plain = restorer.restore(llm, image, "denoise")
        assert torch.equal(plain, restorer.restore(None, image, "denoise"))
        restorer.blend["weight"][TASKS.index("denoise")] = 0.7
        assert restorer.speaks("denoise")
        assert not restorer.speaks("deblur")
        blended = restorer.restore(llm, image, "denoise")
    assert blended.shape == image.shape
    assert not torch.allclose(plain, blended, atol=1e-3)


def test_whole_frames_are_turned_with_their_content(llm: LanguageModel) -> None:
    restorer = Restorer(CONFIG, llm.width).eval()
    with torch.no_grad():
        assert restorer.by_language(llm, torch.rand(3, 20, 30), "rotate").shape == (3, 30, 20)
        assert restorer.by_language(llm, torch.rand(3, 20, 30), "flip").shape == (3, 20, 30)


def test_settings_name_the_value_that_is_wrong() -> None:
    with pytest.raises(ConfigError, match="multiple of 8, got 60"):
        RestoreConfig(tile_px=60)
    with pytest.raises(ConfigError, match="half a tile, got 40"):
        RestoreConfig(overlap_px=40)
    with pytest.raises(ConfigError, match="more than 16 patches, got 16"):
        RestoreConfig(width=16)
