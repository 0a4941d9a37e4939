from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from vision_llm_ros.interfaces import Detection, Frame, Mask, Perception, Prompt, Status, Task, TaskSpec
from vision_llm_ros.language.parser import CommandParser
from vision_llm_ros.language.pointing import spell_out
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.runtime.edit_route import EditRoute, glare
from vision_llm_ros.runtime.filling import Fill, fill, navier_stokes, spread, telea
from vision_llm_ros.runtime.regions import marked, within
from vision_llm_ros.runtime.routes import Stopwatch, View

BOTH = frozenset({Task.DETECT, Task.SEGMENT})


class FakeRestoring:
    """Answers what is not about taking out, and finds every picture fair."""

    tasks, weights_hash = frozenset({Task.RESTORE}), "0" * 12

    def answer(self, view: View, spec: TaskSpec, watch: Stopwatch) -> Perception:
        return Perception(spec.task, Status.OK, "restored")

    def quality(self, image_rgb_u8: NDArray[np.uint8]) -> float:
        return 0.5


@pytest.fixture
def frame() -> Frame:
    """A slope of greys with a red square in it."""
    image = np.tile(np.linspace(40, 200, 120).astype(np.uint8)[None, :, None], (80, 1, 3))
    image[30:50, 50:70] = (220, 20, 20)
    return Frame(np.ascontiguousarray(image))


def square() -> NDArray[np.bool_]:
    inside = np.zeros((80, 120), np.bool_)
    inside[30:50, 50:70] = True
    return inside


def find(spec: TaskSpec) -> Perception:
    if spec.task is Task.SEGMENT:
        return Perception(spec.task, masks=(Mask("cup", 0.9, square(), (50, 30, 70, 50)),))
    return Perception(spec.task, detections=(Detection("cup", 0, 0.9, (48.0, 28.0, 72.0, 52.0)),))


def remove(
    frame: Frame,
    model: VisionLLM,
    text: str,
    served: frozenset[Task] = BOTH,
    perceive: Callable[[TaskSpec], Perception] = find,
) -> Perception:
    spec = CommandParser().parse(text)
    return EditRoute(FakeRestoring(), served).answer(View(frame, model, perceive), spec, Stopwatch())


@pytest.mark.parametrize("served", [BOTH, frozenset({Task.DETECT})])
def test_what_is_named_is_gone_and_the_rest_is_bit_identical(
    frame: Frame, tiny_model: VisionLLM, served: frozenset[Task]
) -> None:
    answer = remove(frame, tiny_model, "remove the cup from the picture", served)
    assert answer.restored is not None and answer.restored.synthetic and answer.restored.kind == "inpaint"
    pixels, before = answer.restored.image_rgb_u8.astype(int), frame.image_rgb_u8.astype(int)
    assert np.abs(pixels[30:50, 50:70, 0] - pixels[30:50, 50:70, 1]).max() < 12  # no red is left
    away = np.ones((80, 120), np.bool_)
    away[24:56, 44:76] = False
    assert np.array_equal(pixels[away], before[away])
    assert "OpenCV" in answer.text
    assert "took out cup" in answer.text and ("mask" if Task.SEGMENT in served else "box") in answer.text


def test_the_operators_phrase_reaches_the_segmenter(frame: Frame, tiny_model: VisionLLM) -> None:
    asked: list[TaskSpec] = []

    def note(spec: TaskSpec) -> Perception:
        asked.append(spec)
        return find(spec)

    remove(frame, tiny_model, "erase the red cup next to the plate from the photo", perceive=note)
    assert (asked[0].task, asked[0].phrase) == (Task.SEGMENT, "the red cup next to the plate")
    assert len(asked) == 1


def test_what_is_not_there_leaves_the_picture_and_says_so(frame: Frame, tiny_model: VisionLLM) -> None:
    answer = remove(frame, tiny_model, "remove the cup from the picture", perceive=lambda spec: Perception(spec.task))
    assert (answer.status, answer.restored) == (Status.NOTHING_FOUND, None)
    assert "no cup" in answer.text


def test_a_thing_that_fills_the_picture_is_refused(frame: Frame, tiny_model: VisionLLM) -> None:
    whole = Perception(Task.SEGMENT, masks=(Mask("cup", 0.9, np.ones((80, 120), np.bool_), (0, 0, 120, 80)),))
    answer = remove(frame, tiny_model, "remove the cup from the picture", perceive=lambda spec: whole)
    assert answer.status is Status.REJECTED


def test_other_restoration_is_left_to_the_route_that_restores(frame: Frame, tiny_model: VisionLLM) -> None:
    assert remove(frame, tiny_model, "denoise the picture").text == "restored"


@pytest.mark.parametrize("text", ["remove the glare from the picture", "get rid of the reflections in the photo"])
def test_glare_is_found_by_its_look(frame: Frame, tiny_model: VisionLLM, text: str) -> None:
    image = frame.image_rgb_u8.copy()
    cv2.circle(image, (20, 20), 6, (255, 255, 255), -1)
    answer = remove(Frame(image), tiny_model, text)
    assert answer.restored is not None
    assert answer.restored.image_rgb_u8[20, 20].max() < 120
    assert np.array_equal(answer.restored.image_rgb_u8[30:50, 50:70], image[30:50, 50:70])


def test_white_walls_and_coloured_lamps_are_no_glare(frame: Frame) -> None:
    image = frame.image_rgb_u8.copy()
    image[:, 70:] = 255
    cv2.circle(image, (20, 20), 6, (255, 240, 60), -1)
    assert not glare(image).any()


def test_a_click_says_which_thing_is_to_go(frame: Frame, tiny_model: VisionLLM) -> None:
    from vision_llm_ros.interfaces import PromptKind

    spec = marked(
        CommandParser().parse(spell_out("remove this from the picture")), Prompt(PromptKind.POINT, ((0.5, 0.5),))
    )
    asked: list[TaskSpec] = []

    def note(wanted: TaskSpec) -> Perception:
        asked.append(wanted)
        return find(wanted)

    route = EditRoute(FakeRestoring(), BOTH)
    answer = within(lambda some, wanted: route.answer(View(some, tiny_model, note), wanted, Stopwatch()), frame, spec)
    assert asked[0].prompt == spec.prompt and asked[0].max_objects == 1
    assert answer.restored is not None and answer.restored.image_rgb_u8.shape == frame.image_rgb_u8.shape


@pytest.mark.parametrize("way", [fill, telea, navier_stokes, spread])
def test_a_filled_hole_continues_its_surroundings(frame: Frame, way: Fill) -> None:
    slope = np.tile(np.linspace(40, 200, 120).astype(np.uint8)[None, :, None], (80, 1, 3))
    filled = way(frame.image_rgb_u8, square())
    assert np.abs(filled.astype(int) - slope)[35:45, 55:65].max() < 25
    assert np.array_equal(filled[~square()], frame.image_rgb_u8[~square()])


def test_what_fills_is_the_mean_of_three_ways(frame: Frame) -> None:
    ways = [way(frame.image_rgb_u8, square()).astype(float) for way in (telea, navier_stokes, spread)]
    assert np.abs(fill(frame.image_rgb_u8, square()) - np.mean(ways, 0)).max() <= 0.51


@pytest.mark.parametrize("shape", [(1, 40), (40, 1), (33, 57)])
def test_holes_at_the_rim_and_pictures_of_a_line_are_filled(shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), 120, np.uint8)
    hole = np.ones(shape, np.bool_)
    hole[-1, -1] = False
    image[hole] = 0
    assert (spread(image, hole)[hole] > 100).all()
