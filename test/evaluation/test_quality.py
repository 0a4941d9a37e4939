from __future__ import annotations

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray

from vision_llm_ros.errors import InputError
from vision_llm_ros.evaluation.quality import psnr, quality, ssim

IMAGE: NDArray[np.uint8] = np.ascontiguousarray(skimage.data.astronaut()[:128, 150:278])


def test_identical_pictures_score_a_hundred_and_one() -> None:
    assert quality(IMAGE, IMAGE.copy()) == {"psnr": 100.0, "ssim": pytest.approx(1.0)}


def test_constant_difference_gives_the_hand_made_psnr() -> None:
    """Everywhere 5 grey values off: 10 log10(255^2 / 25) = 34.15 dB."""
    grey = np.full((64, 64, 3), 100, np.uint8)
    assert psnr(grey, grey + np.uint8(5)) == pytest.approx(34.1514, abs=1e-4)


def test_border_of_four_pixels_does_not_count() -> None:
    framed = IMAGE.copy()
    framed[:4], framed[-4:], framed[:, :4], framed[:, -4:] = 0, 0, 0, 0
    assert quality(framed, IMAGE)["psnr"] == 100.0
    framed[4, 4] = 255 - framed[4, 4]
    assert quality(framed, IMAGE)["psnr"] < 100.0


def test_ssim_of_constant_pictures_is_the_luminance_term() -> None:
    """SSIM of constants a, b is (2ab + C1) / (a^2 + b^2 + C1), C1 = (0.01 * 255)^2."""
    a, b, c1 = 100.0, 150.0, (0.01 * 255) ** 2
    first, second = np.full((40, 40, 3), 100, np.uint8), np.full((40, 40, 3), 150, np.uint8)
    assert ssim(first, second) == pytest.approx((2 * a * b + c1) / (a * a + b * b + c1), abs=1e-6)


def test_more_noise_is_worse_by_both_measures() -> None:
    noise = np.random.default_rng(0).standard_normal(IMAGE.shape)
    scores = [quality(np.clip(IMAGE + s * noise, 0, 255).astype(np.uint8), IMAGE) for s in (5, 20, 50)]
    assert scores[0]["psnr"] > scores[1]["psnr"] > scores[2]["psnr"]
    assert scores[0]["ssim"] > scores[1]["ssim"] > scores[2]["ssim"]


def test_other_sizes_types_and_tiny_pictures_are_refused() -> None:
    for bad, told in (
        (IMAGE[:100], "one size"),
        (IMAGE.astype(float), "uint8"),
        (IMAGE[..., 0], "uint8"),
    ):
        with pytest.raises(InputError, match=told):
            psnr(bad, IMAGE)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="at least 19 pixels"):
        ssim(IMAGE[:18], IMAGE[:18])
