"""Colour names of pixels and of objects."""

import numpy as np
import pytest
from numpy.typing import NDArray

from vision_llm_ros.language.words import BASIC_COLOURS
from vision_llm_ros.model.colours import Palette, colour_fit, colour_shares, main_colour, name_pixels, white_light

SEEN = {
    "black": (20, 18, 25),
    "white": (245, 245, 240),
    "gray": (120, 122, 125),
    "red": (210, 25, 30),
    "orange": (240, 130, 20),
    "yellow": (240, 220, 40),
    "green": (40, 150, 50),
    "blue": (30, 70, 200),
    "purple": (120, 40, 160),
    "pink": (245, 160, 190),
    "brown": (110, 65, 35),
}


def _picture(colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    return np.full((60, 60, 3), colour, np.uint8)


@pytest.mark.parametrize("name", BASIC_COLOURS)
def test_plain_colours_get_their_names(name: str) -> None:
    assert BASIC_COLOURS[int(name_pixels(_picture(SEEN[name]))[0, 0])] == name


def test_a_mixture_of_colours_has_no_name() -> None:
    image = np.zeros((60, 60, 3), np.uint8)
    image[:, :20], image[:, 20:40], image[:, 40:] = SEEN["red"], SEEN["green"], SEEN["blue"]
    assert main_colour(image, np.ones((60, 60), bool)) == ""
    assert main_colour(image, np.indices((60, 60))[1] < 20) == "red"
    assert main_colour(image, np.indices((60, 60))[1] < 5) == ""


def test_an_object_fits_the_words_that_name_its_pixels() -> None:
    image = np.zeros((60, 60, 3), np.uint8)
    image[:, :30], image[:, 30:] = SEEN["black"], SEEN["white"]
    shares = colour_shares(name_pixels(image), np.ones((60, 60), bool))
    assert shares.sum() == pytest.approx(1.0)
    assert colour_fit(shares, ("black", "white")) == colour_fit(shares, ("white",)) == colour_fit(shares, ()) == 1.0
    assert colour_fit(shares, ("red",)) == 0.0
    assert colour_fit(shares, ("navy",)) == 1.0  # as good as black


def test_an_empty_mask_fits_no_colour() -> None:
    shares = colour_shares(name_pixels(_picture(SEEN["red"])), np.zeros((60, 60), bool))
    assert colour_fit(shares, ("red",)) == 0.0


def test_a_white_thing_under_a_warm_lamp_is_white_and_looks_orange() -> None:
    lamp = np.array([1.0, 0.75, 0.5])
    image = np.full((60, 60, 3), 90 * lamp, np.uint8)
    image[20:40, 20:40] = 240 * lamp
    inside = np.zeros((60, 60), bool)
    inside[20:40, 20:40] = True
    palette = Palette(image)
    assert palette.fit(inside, ("white",)) == palette.fit(inside, ("orange",)) == 1.0
    assert palette.fit(inside, ("blue",)) == 0.0
    assert palette.fit(inside, ()) == 1.0


def test_white_light_leaves_a_balanced_picture_alone() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 1), np.uint8).repeat(3, 2)
    assert np.abs(white_light(image).astype(int) - image).max() <= 1
