from __future__ import annotations

import cv2
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray

from vision_llm_ros.errors import ConfigError, InputError
from vision_llm_ros.training.degradations import (
    DEGRADATIONS,
    RESTORATIONS,
    DegradationConfig,
    degrade,
    line_kernel,
)

IMAGE: NDArray[np.uint8] = np.ascontiguousarray(skimage.data.astronaut()[100:324, 100:300]).clip(1, 255)
GREY = np.full((200, 200, 3), 128, np.uint8)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("kind", DEGRADATIONS)
def test_same_seed_gives_the_same_picture_and_the_source_stays(kind: str) -> None:
    before = IMAGE.copy()
    first, second = degrade(IMAGE, kind, rng(5)), degrade(IMAGE, kind, rng(5))
    assert first.dtype == np.uint8
    assert np.array_equal(first, second)
    assert np.array_equal(IMAGE, before)
    first[:] = 0
    assert np.array_equal(IMAGE, before)


def test_every_restoration_names_a_degradation() -> None:
    assert set(RESTORATIONS) == {"denoise", "deblur", "pepper", "derain", "mask", "rotate", "flip"}
    for kind, name in RESTORATIONS.items():
        assert np.array_equal(degrade(IMAGE, kind, rng(1)), degrade(IMAGE, name, rng(1)))


def test_noise_has_the_sigma_asked_for_and_zero_mean() -> None:
    noisy = degrade(GREY, "noise", rng(), DegradationConfig(noise_sigma=(0.1, 0.1))).astype(float) - 128
    assert abs(noisy.mean()) < 0.3
    assert noisy.std() == pytest.approx(25.5, rel=0.02)
    assert abs(np.corrcoef(noisy[..., 0].ravel(), noisy[..., 1].ravel())[0, 1]) < 0.02


def test_noise_strength_is_uniform_from_zero_to_fifty() -> None:
    drawn = [degrade(GREY, "noise", rng(seed)).astype(float).std() for seed in range(60)]
    assert max(drawn) < 51
    assert 18 < np.mean(drawn) < 32


def test_blur_windows_are_those_of_the_config_and_window_one_changes_nothing() -> None:
    assert np.array_equal(degrade(IMAGE, "blur", rng(), DegradationConfig(blur_windows_px=(1,))), IMAGE)
    rough = [
        float(
            np.abs(np.diff(degrade(IMAGE, "blur", rng(), DegradationConfig(blur_windows_px=(w,))).astype(int))).mean()
        )
        for w in (1, 3, 5, 7)
    ]
    assert rough == sorted(rough, reverse=True)
    assert len(set(rough)) == 4
    unchanged = sum(np.array_equal(degrade(IMAGE, "blur", rng(seed)), IMAGE) for seed in range(80))
    assert 8 <= unchanged <= 34


def test_pepper_blackens_the_fraction_in_all_channels_at_once() -> None:
    peppered = degrade(GREY, "pepper", rng(), DegradationConfig(pepper_fraction=(0.1, 0.1)))
    black = (peppered == 0).all(axis=2)
    assert black.mean() == pytest.approx(0.1, abs=0.01)
    assert np.array_equal(peppered[~black], GREY[~black])


def test_rain_only_brightens_and_grows_with_the_amount() -> None:
    few, many = (degrade(GREY, "rain", rng(2), DegradationConfig(rain_amount=(a, a))) for a in (5.0, 20.0))
    assert (many >= GREY).all()
    assert 0 < (few > GREY).mean() < (many > GREY).mean() < 0.05
    assert np.array_equal(degrade(GREY, "rain", rng(2), DegradationConfig(rain_amount=(0.0, 0.0))), GREY)


def test_rain_streaks_follow_one_direction() -> None:
    config = DegradationConfig(rain_amount=(20.0, 20.0), rain_length_px=21)
    lit = np.argwhere(degrade(GREY, "rain", rng(4), config)[..., 0] > 200)
    assert len(lit) > 100
    angles = np.arange(0, 180, 10)
    wet = degrade(GREY, "rain", rng(4), config)[..., 0].astype(np.float32) - 128
    energy = [float((cv2.filter2D(wet, -1, line_kernel(21, angle)) ** 2).sum()) for angle in angles]
    assert max(energy) > 3 * np.median(energy)


def test_mask_hides_exact_share_of_whole_blocks() -> None:
    masked = degrade(GREY, "mask", rng())
    blocks = (masked == 0).all(axis=2).reshape(50, 4, 50, 4).transpose(0, 2, 1, 3).reshape(2500, 16)
    assert set(blocks.sum(axis=1).tolist()) == {0, 16}
    assert blocks.all(axis=1).sum() == 250


def test_mask_serves_sides_that_are_no_multiple_of_the_block() -> None:
    assert degrade(GREY[:30, :33], "mask", rng()).shape == (30, 33, 3)


def test_rotation_is_clockwise_and_flip_swaps_left_and_right() -> None:
    turned = degrade(IMAGE, "rotation", rng())
    assert turned.shape == (200, 224, 3)
    assert np.array_equal(turned[0, -1], IMAGE[0, 0])
    assert np.array_equal(degrade(IMAGE, "flip", rng())[5, 0], IMAGE[5, -1])
    assert np.array_equal(degrade(IMAGE, "repeat", rng()), IMAGE)


@pytest.mark.parametrize(("angle", "axis"), [(0.0, 0), (90.0, 1)])
def test_line_kernel_lies_along_its_angle(angle: float, axis: int) -> None:
    kernel = line_kernel(9, angle)
    spread = np.argwhere(kernel > 0.5).std(axis=0)
    assert spread[axis] == 0
    assert spread[1 - axis] > 2
    assert kernel.sum() == pytest.approx(9, abs=2.1)


def test_unknown_kind_and_bad_pictures_are_refused() -> None:
    with pytest.raises(ConfigError, match="got 'snow'"):
        degrade(IMAGE, "snow", rng())
    for bad in (IMAGE[..., :2], IMAGE.astype(np.float32), IMAGE[:0]):
        with pytest.raises(InputError, match="Expected uint8"):
            degrade(bad, "noise", rng())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("noise_sigma", (0.3, 0.1)),
        ("noise_sigma", (0.0, 1.5)),
        ("pepper_fraction", (-0.1, 0.1)),
        ("blur_windows_px", (3, 4)),
        ("blur_windows_px", ()),
        ("mask_ratio", 1.5),
    ],
)
def test_bad_strength_is_refused_by_name(setting: str, value: object) -> None:
    with pytest.raises(ConfigError, match=setting):
        DegradationConfig(**{setting: value})  # type: ignore[arg-type]
