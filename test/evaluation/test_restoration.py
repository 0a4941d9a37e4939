from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from scene import KnowingEngine, Scene

from vision_llm_ros.errors import InputError
from vision_llm_ros.evaluation.classical import METHODS, blur_window, noise_sigma
from vision_llm_ros.evaluation.quality import psnr
from vision_llm_ros.evaluation.restoration import centre_square, find_pictures, restore
from vision_llm_ros.evaluation.trial import Trial
from vision_llm_ros.runtime.pictures import write_picture
from vision_llm_ros.training.degradations import RESTORATIONS, DegradationConfig, degrade

CLEAN: NDArray[np.uint8] = np.asarray(
    cv2.resize(skimage.data.chelsea()[:, 70:370], (160, 160), interpolation=cv2.INTER_AREA), dtype=np.uint8
)
STRONG = DegradationConfig(
    noise_sigma=(0.15, 0.15), blur_windows_px=(5,), pepper_fraction=(0.1, 0.1), rain_amount=(20.0, 20.0)
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_picture(tmp_path / "a.png", CLEAN)
    write_picture(tmp_path / "below/deeper/b.PNG", np.ascontiguousarray(CLEAN[:, ::-1]))
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


@pytest.mark.parametrize("kind", RESTORATIONS)
def test_best_classical_method_improves_on_the_degraded_picture(kind: str) -> None:
    degraded = degrade(CLEAN, kind, np.random.default_rng(1), STRONG)
    before = psnr(degraded, CLEAN)
    after = max(psnr(method(degraded), CLEAN) for method in METHODS[kind].values())
    assert after > before + 0.5


@pytest.mark.parametrize(("kind", "method"), [(kind, name) for kind, named in METHODS.items() for name in named])
def test_every_method_keeps_size_and_type_and_leaves_its_input(kind: str, method: str) -> None:
    image = CLEAN[:120, :140].copy()
    restored = METHODS[kind][method](image)
    assert restored.dtype == np.uint8
    assert restored.shape == ((140, 120, 3) if kind == "rotate" else image.shape)
    assert np.array_equal(image, CLEAN[:120, :140])


def test_noise_and_blur_are_measured() -> None:
    for sigma in (10, 30):
        config = DegradationConfig(noise_sigma=(sigma / 255, sigma / 255))
        assert noise_sigma(degrade(CLEAN, "noise", np.random.default_rng(0), config)) == pytest.approx(sigma, rel=0.25)
    picture = centre_square(skimage.data.astronaut(), 224)
    assert [blur_window(cv2.GaussianBlur(picture, (w, w), 0)) for w in (1, 7)] == [1, 7]


def test_pictures_are_found_in_subfolders(folder: Path) -> None:
    assert [picture.path.name for picture in find_pictures(folder)] == ["a.png", "b.PNG"]
    with pytest.raises(InputError, match="not a folder"):
        find_pictures(folder / "a.png")
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match="holds no picture"):
        find_pictures(folder / "empty")


def test_centre_square_keeps_the_middle() -> None:
    image = np.zeros((40, 100, 3), np.uint8)
    image[:, 30:70] = 200
    assert (centre_square(image, 64) == 200).all()
    assert centre_square(np.full((900, 500, 3), 9, np.uint8), 32).shape == (32, 32, 3)


def test_report_holds_input_reconstruction_classical_and_ours_for_each_kind(folder: Path) -> None:
    engine = KnowingEngine(Scene(folder))
    report = restore(Trial(engine, quiet=True), find_pictures(folder), size_px=96)
    assert report["clean"] == {"pictures": 2, "untouched": 1.0, "least_psnr": 100.0}
    kinds = report["kinds"]
    assert set(kinds) == {"denoise", "deblur", "pepper", "derain", "mask", "rotate", "flip"}
    for values in kinds.values():
        for party in ("input", "reconstruction", "classical", "ours"):
            assert set(values[party]) >= {"psnr", "ssim"}
    assert kinds["rotate"]["ours"] == kinds["flip"]["ours"] == {"psnr": 100.0, "ssim": pytest.approx(1.0)}
    assert kinds["rotate"]["reconstruction"]["psnr"] == 100.0
    assert kinds["denoise"]["ours"] == kinds["denoise"]["input"] == kinds["denoise"]["reconstruction"]
    assert kinds["mask"]["classical"]["psnr"] > kinds["mask"]["input"]["psnr"] + 5


def test_same_seed_degrades_alike_whatever_kinds_are_chosen(folder: Path) -> None:
    pictures = find_pictures(folder)
    both = restore(Trial(None, seed=4, quiet=True), pictures, ("denoise", "mask"), 64)["kinds"]
    alone = restore(Trial(None, seed=4, quiet=True), pictures, ("mask",), 64)["kinds"]
    other = restore(Trial(None, seed=5, quiet=True), pictures, ("mask",), 64)["kinds"]
    assert both["mask"] == alone["mask"]
    assert other["mask"]["input"] != alone["mask"]["input"]
    assert alone["mask"]["ours"] is None


def test_silent_model_is_not_measured_instead_of_scored(folder: Path) -> None:
    engine = KnowingEngine(Scene(folder), silent=True)
    report = restore(Trial(engine, quiet=True), find_pictures(folder), ("flip",), 64)
    assert report["clean"] is None
    kinds = report["kinds"]
    assert kinds["flip"]["ours"] is None
    assert kinds["flip"]["pictures"] == 0
