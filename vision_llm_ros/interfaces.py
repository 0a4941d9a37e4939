"""The types every room speaks: plain dataclasses over numpy. No torch, no ROS.

Boxes are always `xyxy`: x right, y down, origin at the top-left corner of the top-left pixel,
so a box that covers a whole 640x480 image is (0, 0, 640, 480).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.errors import ConfigError, InputError

Box = tuple[float, float, float, float]
MIN_POINTS, MAX_POINTS = 2, 24
WHOLE_IMAGE: Box = (0.0, 0.0, 1.0, 1.0)
PROMPT_MARGIN = 0.1
MAX_STEPS = 4


class Task(StrEnum):
    """What a command can ask for: a closed set."""

    DETECT = "detect"
    GROUND = "ground"
    POLYGON = "polygon"
    SEGMENT = "segment"
    RESTORE = "restore"
    CAPTION = "caption"
    ANSWER = "answer"
    MATCH = "match"
    TRACK = "track"
    RECALL = "recall"
    STOP = "stop"


class Mode(StrEnum):
    """How often a command is answered."""

    ONCE = "once"
    CONTINUOUS = "continuous"
    STOP = "stop"


class Status(IntEnum):
    """What came of a request on one frame; same numbers as ResultInfo.msg."""

    OK = 0
    NOTHING_FOUND = 1
    STALE = 2
    DEGRADED = 3
    REJECTED = 4
    ERROR = 5


COMPUTED = (Status.OK, Status.NOTHING_FOUND, Status.DEGRADED)  # the frame was looked at


class CommandState(IntEnum):
    """What became of a command; same numbers as CommandStatus.msg."""

    ACCEPTED = 0
    REFUSED = 1
    FINISHED = 2
    STOPPED = 3
    EXPIRED = 4
    REPLACED = 5
    FAILED = 6


@dataclass(frozen=True)
class Frame:
    """One camera picture.

    Attributes:
        image_rgb_u8: uint8[H, W, 3], RGB.
        stamp_ns: time the picture was taken, nanoseconds of the source's clock.
        frame_id: coordinate frame of the camera, untouched.
        camera: name of the camera among those of the node.
    """

    image_rgb_u8: NDArray[np.uint8]
    stamp_ns: int = 0
    frame_id: str = ""
    camera: str = ""

    def __post_init__(self) -> None:
        image = self.image_rgb_u8
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise InputError(f"Expected uint8[H, W, 3], got {image.dtype}{list(image.shape)}")
        if image.shape[0] == 0 or image.shape[1] == 0:
            raise InputError(f"Expected a picture with pixels, got {image.shape[1]}x{image.shape[0]}")

    @property
    def size_wh_px(self) -> tuple[int, int]:
        return self.image_rgb_u8.shape[1], self.image_rgb_u8.shape[0]


class PromptKind(StrEnum):
    """How something is marked in the picture."""

    POINT = "point"
    POLYGON = "polygon"
    SCRIBBLE = "scribble"


@dataclass(frozen=True)
class Prompt:
    """A mark in the picture that is no box.

    Attributes:
        points_xy: fractions 0..1 of the picture: one point, the closed ring of a polygon, or the line of a scribble.
    """

    kind: PromptKind
    points_xy: tuple[tuple[float, float], ...]

    @property
    def box(self) -> Box:
        """xyxy around the mark, fractions; with surroundings where the mark has no area."""
        margin = 0.0 if self.kind is PromptKind.POLYGON else PROMPT_MARGIN
        xs, ys = zip(*self.points_xy, strict=True)
        low, high = (min(xs) - margin, min(ys) - margin), (max(xs) + margin, max(ys) + margin)
        return max(low[0], 0.0), max(low[1], 0.0), min(high[0], 1.0), min(high[1], 1.0)


@dataclass(frozen=True)
class Command:
    """A request as the operator gave it. Field meanings as in Command.msg."""

    text: str
    id: str = ""
    mode: Mode | None = None
    rate_hz: float = 0.0
    time_to_live_s: float = 0.0
    priority: int = 0
    camera: str = ""
    region: Box | Prompt | None = None
    asr_confidence: float = 1.0


@dataclass(frozen=True)
class TaskSpec:
    """A command as understood: everything the model needs, nothing about scheduling but the rate.

    Attributes:
        task: one of the closed set.
        classes: labels to look for, in the operator's order and words; canonical singular form.
        phrase: referring phrase or question, where the task has one.
        mode: once, continuous or stop.
        rate_hz: most answers a second; 0 means as fast as possible or once.
        region: xyxy, fractions 0..1 of the image; only objects whose centre lies inside count.
        num_points: 2 for boxes (two corners), 8..24 for polygons.
        restore_kind: which degradation to undo; "" lets the estimator choose.
        restore_first: the frame is restored (see `restore_kind`) before the task is done on it.
        max_objects: 0 for no limit; 1 for "the red cup".
        instruction: a complete model instruction from an advanced user; "" builds it from the rest.
        caption_length: "short", "long" or "" for the usual length.
        time_to_live_s: life named in the words ("for 10 seconds"); 0 names none.
        prompt: a mark in the picture; `region` is the box around it.
        then: the further tasks of a plan, in order; each is done on the picture as the one before leaves it.
        past_s: for RECALL, how far back the question asks; 0 for everything remembered.
        routed: probability 0..1 with which the language model read the sentence; 0: the grammar did. Never compared.
        heard: what was taken for something else, e.g. "sofa as couch"; for the say-back only, never compared.
    """

    task: Task
    classes: tuple[str, ...] = ()
    phrase: str = ""
    mode: Mode = Mode.ONCE
    rate_hz: float = 0.0
    region: Box = WHOLE_IMAGE
    num_points: int = 2
    restore_kind: str = ""
    restore_first: bool = False
    max_objects: int = 0
    instruction: str = ""
    caption_length: str = ""
    time_to_live_s: float = 0.0
    past_s: float = 0.0
    prompt: Prompt | None = None
    then: tuple[TaskSpec, ...] = ()
    routed: float = field(default=0.0, compare=False)
    heard: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        x_min, y_min, x_max, y_max = self.region
        if not (0 <= x_min < x_max <= 1 and 0 <= y_min < y_max <= 1):
            raise ConfigError(f"Expected a region xyxy within 0..1 and not empty, got {self.region}")
        if not (self.num_points == 2 or 8 <= self.num_points <= MAX_POINTS):
            raise ConfigError(f"Expected 2 or 8..{MAX_POINTS} points, got {self.num_points}")
        if len(set(self.classes)) != len(self.classes):
            raise ConfigError(f"Expected distinct classes, got {list(self.classes)}")
        if len(self.then) >= MAX_STEPS or any(step.then for step in self.then):
            raise ConfigError(f"Expected a plan of at most {MAX_STEPS} plain tasks, got {1 + len(self.then)}")

    @property
    def steps(self) -> tuple[TaskSpec, ...]:
        """Every task of a plan in order, itself the first; only itself without a plan."""
        return (replace(self, then=()), *self.then) if self.then else (self,)


@dataclass(frozen=True)
class Detection:
    """One object. `box_xyxy_px` and `polygon_xy_px` (float[N, 2], clockwise) in source pixels."""

    label: str
    class_index: int
    score: float
    box_xyxy_px: Box
    polygon_xy_px: NDArray[np.float32] | None = None
    track_id: int = -1


@dataclass(frozen=True)
class Mask:
    """One mask. `inside` is bool[H, W] of the whole source image; `box_xyxy_px` is tight around it."""

    label: str
    score: float
    inside: NDArray[np.bool_]
    box_xyxy_px: Box
    track_id: int = -1


@dataclass(frozen=True)
class Restored:
    """A restored frame: uint8[H, W, 3] RGB, what was undone, quality estimates 0..1."""

    image_rgb_u8: NDArray[np.uint8]
    kind: str
    quality_before: float
    quality_after: float
    synthetic: bool = False


@dataclass(frozen=True)
class Caption:
    """A caption (empty question) or an answer, with its confidence 0..1.

    Attributes:
        seen_ns: for a question about the past, stamps of the first and the last frame that show what is asked about.
    """

    text: str
    score: float
    question: str = ""
    seen_ns: tuple[int, int] | None = None


@dataclass(frozen=True)
class Perception:
    """What an engine returns for one frame and one task. Only the task's own field is filled."""

    task: Task
    status: Status = Status.OK
    text: str = ""
    detections: tuple[Detection, ...] = ()
    masks: tuple[Mask, ...] = ()
    restored: Restored | None = None
    caption: Caption | None = None
    stage_ms: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """A perception together with the command and the frame it belongs to.

    Attributes:
        latency_ms: from taking up the frame to the finished result.
        frame_age_ms: from the frame's stamp to the finished result, in the source's clock.
    """

    command_id: str
    generation: int
    spec: TaskSpec
    stamp_ns: int
    frame_id: str
    camera: str
    image_size_wh_px: tuple[int, int]
    perception: Perception
    model: str
    weights_hash: str
    latency_ms: float
    frame_age_ms: float


@runtime_checkable
class Engine(Protocol):
    """A model that answers tasks. Engines are used from one thread at a time."""

    @property
    def name(self) -> str:
        """Short name of the model, e.g. "nano"."""

    @property
    def weights_hash(self) -> str:
        """First 12 hex digits of the SHA-256 over the weight files."""

    @property
    def device(self) -> str:
        """E.g. "cpu" or "cuda:0"."""

    @property
    def dtype(self) -> str:
        """E.g. "float32" or "bfloat16"."""

    @property
    def tasks(self) -> frozenset[Task]:
        """Tasks this engine has a trained head for."""

    def warm_up(self) -> None:
        """Load and touch everything, so that the first frame costs what every frame costs."""

    def perceive(self, frame: Frame, specs: tuple[TaskSpec, ...]) -> tuple[Perception, ...]:
        """Answer every spec on one frame, in order; the picture is encoded once for all of them.

        Raises:
            UnsupportedTaskError: a spec asks for a task outside `tasks`.
            EngineError: computing failed.
        """


class SentenceRouter(Protocol):
    """Reads sentences that the grammar does not know; the language model's router fulfils it."""

    @property
    def threshold(self) -> float:
        """Probability from which a reading is believed, 0..1."""

    def route(self, text: str) -> tuple[str, float]:
        """One sentence to its invocations (see `language.invocation`) and their joint probability.

        Raises:
            CommandError: longer than it reads.
        """


@runtime_checkable
class TextSimilarity(Protocol):
    """Meaning of short English phrases; the model's text encoder fulfils it."""

    def embed(self, phrases: tuple[str, ...]) -> NDArray[np.float32]:
        """Map phrases to float32[len(phrases), D] of unit length."""
