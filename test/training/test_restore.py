from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from vision_llm_ros.config import RestoreConfig, RestoreTrainConfig
from vision_llm_ros.errors import ConfigError, InputError, WeightsError
from vision_llm_ros.model.detail import KINDS
from vision_llm_ros.model.llm import LanguageModel
from vision_llm_ros.model.restoration import TASKS, chosen_tasks
from vision_llm_ros.model.restorer import Restorer
from vision_llm_ros.training import restore_blend, restore_run
from vision_llm_ros.training.degradations import degrade
from vision_llm_ros.training.restore import AutoencoderLoop, DetailLoop, EstimatorLoop, gradient_loss
from vision_llm_ros.training.restore_data import Photographs, fixed, psnr, read_list, weakened
from vision_llm_ros.training.restore_language import LanguageLoop, drawn

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
TRAIN = RestoreTrainConfig(steps=2, batch_size=4, size_px=48, save_every=1, warmup_steps=1)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def llm(tiny_folder: Path) -> LanguageModel:
    return LanguageModel(str(tiny_folder / "llama"))


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list of six smooth pictures, one of which does not exist."""
    folder = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(0)
    for index in range(6):
        coarse = rng.integers(0, 256, (6, 8, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / f"{index}.png"), cv2.resize(coarse, (80, 60), interpolation=cv2.INTER_CUBIC))
    path = folder / "list.txt"
    path.write_text("\n".join(f"{index}.png" for index in (*range(6), 99)), encoding="utf-8")
    return path


@pytest.fixture
def photographs(listed: Path) -> Photographs:
    return Photographs(read_list(listed), TRAIN.size_px)


def stage(name: str, **changes: object) -> RestoreTrainConfig:
    return replace(TRAIN, stage=name, **changes)  # type: ignore[arg-type]


def ignore(step: int, parts: dict[str, float]) -> None:
    assert all(np.isfinite(value) for value in parts.values())


def test_a_missing_photograph_is_passed_over(photographs: Photographs) -> None:
    rng = np.random.default_rng(0)
    assert photographs.square(6) is None
    assert photographs.tiles(20, 16, rng).shape == (20, 3, 16, 16)


def test_photographs_kept_back_are_never_learnt_from(listed: Path) -> None:
    paths = read_list(listed)
    learnt, kept = (set(Photographs(paths, 48, 0.34, back).paths) for back in (False, True))
    assert learnt | kept == set(paths)
    assert not learnt & kept
    assert kept


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="names no picture"):
        read_list(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_strengths_tell_how_much_was_done(photographs: Photographs, kind: str) -> None:
    tile = photographs.tile(32, np.random.default_rng(1))
    errors = []
    for share in (0.0, 1 / 3, 1.0):
        damaged = degrade(tile, kind, np.random.default_rng(2), fixed(kind, share))
        errors.append(float(np.abs(damaged.astype(float) - tile).mean()))
    assert errors[0] == 0
    assert errors[1] <= errors[2]
    _, strengths = weakened(tile, kind, np.random.default_rng(3))
    assert strengths[[KINDS.index(other) for other in KINDS if other != kind]].sum() == 0


def test_the_same_seed_draws_the_same_tiles(photographs: Photographs) -> None:
    first, second = (photographs.damaged(6, 16, TASKS, np.random.default_rng(4)) for _ in range(2))
    assert torch.equal(first.damaged, second.damaged)
    assert torch.equal(first.kinds, second.kinds)


def test_a_picture_is_cut_into_tiles_that_stay_together(photographs: Photographs) -> None:
    pictures = photographs.damaged(3, 32, ("denoise", "mask"), np.random.default_rng(5))
    tiles = pictures.cut(16)
    assert tiles.clean.shape == (12, 3, 16, 16)
    assert tiles.together == 4
    assert torch.equal(tiles.damaged[5], pictures.damaged[1, :, :16, 16:])
    assert torch.equal(tiles.kinds, pictures.kinds.repeat_interleave(4))
    assert torch.equal(tiles.strengths[4:8], pictures.strengths[1:2].expand(4, -1))
    harmed = replace(tiles, strengths=tiles.strengths * (torch.arange(12) >= 4).unsqueeze(1)).harmed()
    assert torch.equal(harmed.damaged, tiles.damaged[4:])
    assert torch.equal(harmed.strength, tiles.strength[4:])
    whole, parts = psnr(pictures.damaged, pictures.clean), psnr(tiles.damaged, tiles.clean, tiles.together)
    assert torch.allclose(whole, parts, atol=1e-3)


def test_geometry_is_learnt_tile_by_tile(photographs: Photographs) -> None:
    assert drawn(photographs, 8, CONFIG, ("denoise",), (0,)).together == 4
    turned = drawn(photographs, 8, CONFIG, ("denoise", "flip"), (0,))
    assert (turned.together, len(turned.clean)) == (1, 8)


def test_the_gradient_loss_sees_edges_and_not_brightness() -> None:
    flat = torch.zeros(1, 3, 16, 16)
    edge = flat.clone()
    edge[..., 8:] = 1
    assert float(gradient_loss(flat + 0.5, flat)) == 0
    assert float(gradient_loss(edge, flat)) > 0


def test_stages_learn_resume_and_travel(
    photographs: Photographs, llm: LanguageModel, listed: Path, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    run, before = tmp_path / "run", llm.base_hash()
    restorer = Restorer(CONFIG, llm.width)
    for name in ("masked", "autoencoder"):
        loop = AutoencoderLoop(restorer.autoencoder, photographs, CONFIG, stage(name), run / name, CPU)
        if name == "masked":
            loop.start()
        restore_run.write_settings(run, CONFIG, stage(name), {})
        loop.run(ignore)
    detail = DetailLoop(restorer.detail, photographs, CONFIG, stage("detail"), run / "detail", CPU)
    detail.run(ignore)
    estimator = EstimatorLoop(restorer.estimator, photographs, CONFIG, stage("estimator"), run / "estimator", CPU)
    estimator.start(12)
    estimator.run(ignore)
    with pytest.raises(ConfigError, match="started with learning_rate"):
        restore_run.write_settings(run, CONFIG, stage("autoencoder", learning_rate=0.5), {})
    restore_run.export(run, tmp_path / "without_language")

    module, visual = restorer.language, restorer.autoencoder
    language = LanguageLoop(module, llm, visual, photographs, CONFIG, stage("language"), run / "language", CPU)
    language.start(16)
    language.run(ignore)
    assert llm.base_hash() == before
    again = LanguageLoop(module, llm, visual, photographs, CONFIG, stage("language"), run / "language", CPU)
    assert again.resume()
    assert again.step == 2
    restore_run.save_solved(run, restore_run.READOUT, solved := again.read_out(16))
    assert sorted(solved) == ["language.out.bias", "language.out.weight"]

    blend = restore_blend.fit_blend(restorer.eval(), llm, photographs, 16)
    assert list(blend) == ["blend.weight", "blend.alone"]
    assert all(share.shape == (len(TASKS),) for share in blend.values())
    assert all(float(share.min()) >= 0 and float(share.max()) <= 1 for share in blend.values())
    assert blend["blend.alone"][TASKS.index("flip")] == 1
    restore_run.save_solved(run, restore_run.BLEND, blend)
    manifest = restore_run.export(run, tmp_path / "restore", "tiny")
    names = ("autoencoder", "blend", "detail", "estimator", "language")
    assert sorted(manifest.files) == [f"{name}.safetensors" for name in names]
    filled = restore_run.fill(Restorer(CONFIG, llm.width), run).learned()
    assert all(torch.equal(filled[name], tensor) for name, tensor in (blend | solved).items())


@pytest.mark.parametrize(("right", "wanted"), [(True, 1.0), (False, 0.0)])
def test_the_branch_is_trusted_where_it_is_right(
    photographs: Photographs, llm: LanguageModel, monkeypatch: pytest.MonkeyPatch, right: bool, wanted: float
) -> None:
    torch.manual_seed(0)
    restorer = Restorer(CONFIG, llm.width).eval()
    restorer.autoencoder.start_from(torch.rand(60, 48))
    clean = photographs.tiles(8, 16, np.random.default_rng(0))
    detailed = (clean + torch.randn_like(clean) / 20).clamp(0, 1)
    truth, damaged = restorer.autoencoder.encode(clean), restorer.autoencoder.encode(detailed)
    seen = restore_blend._Seen(clean, detailed, damaged, truth if right else 2 * damaged - truth, 1)
    monkeypatch.setattr(restore_blend, "_look", lambda *_: [seen])
    blend = restore_blend.fit_blend(restorer, llm, photographs, 8)
    assert all(torch.equal(share[: len(KINDS)], torch.full((len(KINDS),), wanted)) for share in blend.values())


def test_least_squares_beat_the_mean(photographs: Photographs, llm: LanguageModel, tmp_path: Path) -> None:
    torch.manual_seed(0)
    restorer = Restorer(CONFIG, llm.width)
    loop = LanguageLoop(
        restorer.language, llm, restorer.autoencoder, photographs, CONFIG, stage("language"), tmp_path, CPU
    )
    loop.start(64)
    damaged, clean, tasks = loop.encoded(loop.draw((9,), 0)[0])
    with torch.no_grad():
        error = (restorer.language(llm, damaged, tasks, clean).features - clean).square().mean()
    assert float(error) < float((clean - clean.mean((0, 1))).square().mean())


def test_the_pixel_objective_brings_decoded_tiles_nearer(
    photographs: Photographs, llm: LanguageModel, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    config = replace(CONFIG, aligned=True, tasks="denoise,pepper")
    restorer = Restorer(config, llm.width)
    train = stage("language", objective="pixels", steps=30, learning_rate=3e-3, save_every=30)
    loop = LanguageLoop(restorer.language, llm, restorer.autoencoder, photographs, config, train, tmp_path, CPU)
    loop.start(16)
    (batch,) = loop.draw((9,), 0)
    before = loop.loss(batch)[1]["error"]
    loop.run(ignore)
    assert loop.loss(batch)[1]["error"] < before - 0.1
    assert all(parameter.grad is None for parameter in restorer.autoencoder.parameters())


def test_a_stage_names_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="builds on stage autoencoder"):
        restore_run.require(tmp_path, "language")
    with pytest.raises(ConfigError, match="missing or damaged"):
        restore_run.export(tmp_path, tmp_path / "out")


def test_tasks_are_chosen_by_name() -> None:
    assert chosen_tasks("") == TASKS
    assert chosen_tasks("denoise, flip") == ("denoise", "flip")
    with pytest.raises(ConfigError, match="got 'dream'"):
        chosen_tasks("dream")
