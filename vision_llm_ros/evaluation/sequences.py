"""Generated sequences with known truth: cut-outs of free photographs cross a scene, hide each other and leave it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.errors import InputError
from vision_llm_ros.evaluation.sample import find_photograph
from vision_llm_ros.interfaces import Box
from vision_llm_ros.runtime.pictures import read_picture

WIDTH_PX, HEIGHT_PX, RATE_HZ = 640, 480, 10
START_NS = 1_700_000_000_000_000_000
PILLAR_WIDTH_PX = 200
LEAST_VISIBLE = 0.5
CUTOUT_SIDE_PX = 300
_GRABCUT_ROUNDS = 4

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Subject:
    """An object in an installed photograph that a detector knows when it stands alone.

    Attributes:
        box: xyxy in pixels of the photograph, roughly.
        oval: cut along an oval; else along the object's outline.
    """

    label: str
    package: str
    file: str
    box: tuple[int, int, int, int]
    oval: bool = False


SUBJECTS = (
    Subject("person", "skimage", "data/astronaut.png", (29, 5, 348, 512)),
    Subject("person", "matplotlib", "mpl-data/sample_data/grace_hopper.jpg", (1, 4, 512, 600)),
    Subject("person", "skimage", "data/camera.png", (60, 60, 303, 470)),
    Subject("cat", "skimage", "data/chelsea.png", (40, 1, 434, 299), oval=True),
    Subject("motorcycle", "skimage", "data/motorcycle_left.png", (71, 63, 662, 440)),
)
BACKGROUNDS = (("skimage", "data/gravel.png"), ("sklearn", "datasets/images/china.jpg"), ("skimage", "data/grass.png"))


@dataclass(frozen=True)
class Mover:
    """One subject's way. Places as fractions of the frame, times in seconds.

    Attributes:
        side: of a square of the cut-out's area, as a fraction of the frame's height.
        speed: of its centre, frames' widths a second; negative to the left.
        start_x, y: of its centre at time 0.
        sway: how far up and down it swings.
        turns: walks back at the edge instead of leaving for good.
    """

    subject: int
    side: float
    speed: float
    start_x: float
    y: float
    sway: float = 0.02
    turns: bool = False

    def place(self, time_s: float) -> tuple[float, float]:
        x = self.start_x + self.speed * time_s
        if self.turns:  # from -0.3 to 1.3 and back, so that it is out of sight for a while
            folded = (x + 0.3) % 3.2
            x = min(folded, 3.2 - folded) - 0.3
        return x, self.y + self.sway * float(np.sin(2.5 * time_s + self.subject))


@dataclass(frozen=True)
class Seen:
    """Truth about one object in one frame. `box_xyxy_px` is tight around what is visible of it.

    Attributes:
        visible: share of it that is visible, 0..1; below `LEAST_VISIBLE` it may be found but need not be.
    """

    id: int
    label: str
    box_xyxy_px: Box
    visible: float


@dataclass(frozen=True)
class Sequence:
    """A scene: who moves how before which background; `pillar` stands in front of all."""

    name: str
    background: int
    movers: tuple[Mover, ...]
    pillar: bool = False
    seconds: float = 8.0

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(SUBJECTS[mover.subject].label for mover in self.movers))


def draw_sequences(count: int, seed: int = 0) -> tuple[Sequence, ...]:
    """Scenes drawn at random: every second one has a pillar to pass behind, every third ends in a crossing."""
    rng = np.random.default_rng(seed)
    scenes = []
    for number in range(count):
        chosen = rng.permutation(len(SUBJECTS))[: 2 + number % 3]
        movers = []
        for lane, subject in enumerate(chosen):
            away = rng.choice([-1.0, 1.0])
            speed = away * rng.uniform(0.08, 0.2)
            start = 0.5 - away * rng.uniform(0.25, 0.6)
            side = rng.uniform(0.4, 0.55)
            y = 0.35 + 0.3 * lane / max(len(chosen) - 1, 1)
            movers.append(Mover(int(subject), side, speed, start, y, turns=bool(rng.random() < 0.6)))
        scenes.append(Sequence(f"scene{number}", number % len(BACKGROUNDS), tuple(movers), pillar=number % 2 == 1))
    return tuple(scenes)


def render(sequence: Sequence) -> Iterator[tuple[int, Image, tuple[Seen, ...]]]:
    """The frames of a sequence: stamp in nanoseconds, uint8[480, 640, 3] RGB, truth.

    Raises:
        InputError: a photograph is not installed.
    """
    scene = _background(*BACKGROUNDS[sequence.background])
    pillar = _background("skimage", "data/brick.png")[:, :PILLAR_WIDTH_PX]
    for number in range(round(sequence.seconds * RATE_HZ)):
        image, owner = scene.copy(), np.full((HEIGHT_PX, WIDTH_PX), -1, np.int32)
        areas = []
        for index, mover in enumerate(sequence.movers):
            areas.append(_paste(image, owner, index, mover, number / RATE_HZ))
        if sequence.pillar:
            left = (WIDTH_PX - PILLAR_WIDTH_PX) // 2
            image[:, left : left + PILLAR_WIDTH_PX], owner[:, left : left + PILLAR_WIDTH_PX] = pillar, -1
        truth = [_seen(sequence, index, owner == index, area) for index, area in enumerate(areas)]
        yield START_NS + number * 1_000_000_000 // RATE_HZ, image, tuple(item for item in truth if item is not None)


def _seen(sequence: Sequence, index: int, inside: NDArray[np.bool_], area: int) -> Seen | None:
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    if not len(rows) or not area:
        return None
    box = float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)
    label = SUBJECTS[sequence.movers[index].subject].label
    return Seen(index, label, box, float(inside.sum() / area))


def _paste(image: Image, owner: NDArray[np.int32], index: int, mover: Mover, time_s: float) -> int:
    """Blend one cut-out in; returns its whole area in pixels, seen or not."""
    colour, alpha = cutout(mover.subject)
    scale = mover.side * HEIGHT_PX / CUTOUT_SIDE_PX
    x, y = mover.place(time_s)
    offset_x, offset_y = x * WIDTH_PX - scale * colour.shape[1] / 2, y * HEIGHT_PX - scale * colour.shape[0] / 2
    matrix = np.array([[scale, 0, offset_x], [0, scale, offset_y]])
    warped = cv2.warpAffine(colour, matrix, (WIDTH_PX, HEIGHT_PX), flags=cv2.INTER_AREA)
    share = cv2.warpAffine(alpha, matrix, (WIDTH_PX, HEIGHT_PX), flags=cv2.INTER_LINEAR)[..., None]
    image[:] = (image * (1 - share) + warped * share).astype(np.uint8)
    owner[share[..., 0] > 0.5] = index
    return int((alpha > 0.5).sum() * scale**2)


@cache
def cutout(subject: int) -> tuple[Image, NDArray[np.float32]]:
    """Colours uint8[H, W, 3] and opacity float32[H, W], 0..1, of a subject; H * W is about `CUTOUT_SIDE_PX` squared."""
    wanted = SUBJECTS[subject]
    picture = _photograph(wanted.package, wanted.file)
    left, top, right, bottom = wanted.box
    inside = _oval(bottom - top, right - left) if wanted.oval else _outlined(picture, wanted.box)
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    colour, alpha = picture[top:bottom, left:right][window], inside[window].astype(np.float32)
    scale = CUTOUT_SIDE_PX / float(np.sqrt(alpha.size))
    colour = cv2.resize(colour, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    alpha = cv2.resize(alpha, (colour.shape[1], colour.shape[0]))
    return np.asarray(colour, np.uint8), np.asarray(cv2.GaussianBlur(alpha, (3, 3), 0), np.float32)


def _oval(height: int, width: int) -> NDArray[np.uint8]:
    y, x = np.mgrid[:height, :width]
    return np.asarray((2 * y / height - 1) ** 4 + (2 * x / width - 1) ** 4 < 1, np.uint8)


def _outlined(picture: Image, box: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """The largest part that GrabCut takes for foreground, uint8 0 or 1 of the box's size."""
    left, top, right, bottom = box
    area = np.zeros(picture.shape[:2], np.uint8)
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(picture, area, (left, top, right - left, bottom - top), *models, _GRABCUT_ROUNDS, cv2.GC_INIT_WITH_RECT)
    inside = np.isin(area, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)[top:bottom, left:right]
    parts, labels, stats, _ = cv2.connectedComponentsWithStats(inside)
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax()) if parts > 1 else 0
    return np.asarray(
        cv2.morphologyEx((labels == largest).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    )


@cache
def _background(package: str, file: str) -> Image:
    picture = _photograph(package, file)
    scale = max(WIDTH_PX / picture.shape[1], HEIGHT_PX / picture.shape[0])
    scaled = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(scaled[:HEIGHT_PX, :WIDTH_PX], dtype=np.uint8)


def _photograph(package: str, file: str) -> Image:
    path = find_photograph(package, file)
    if path is None:
        raise InputError(f"Photograph {file} of {package} is not installed; pip install scikit-image scikit-learn")
    return read_picture(path)
