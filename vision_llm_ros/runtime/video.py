"""Tasks over time: following objects from frame to frame, and questions about the last seconds.

Works on any detector through `Eyes`; keeps everything it remembers here, bounded, by camera.
"""

from __future__ import annotations

import itertools
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.config import VideoConfig
from vision_llm_ros.interfaces import (
    WHOLE_IMAGE,
    Box,
    Caption,
    Detection,
    Frame,
    Mask,
    Perception,
    Status,
    Task,
    TaskSpec,
)
from vision_llm_ros.language.lexicon import plural
from vision_llm_ros.runtime.memory import Found, FrameMemory, Remembered
from vision_llm_ros.runtime.regions import select
from vision_llm_ros.runtime.tracking import Track, Tracker, overlaps, place_of

MAX_FOLLOWED = 32
UNSTAMPED_PERIOD_S = 0.1
MASK_IOU = 0.4
SHORT_MEMORY = 0.5


class Eyes(Protocol):
    """What tasks over time need to see. Boxes xyxy in pixels of the frame given."""

    def detect(self, frame: Frame, spec: TaskSpec) -> tuple[Detection, ...]:
        """Answer a DETECT command, with detections from `VideoConfig.track_weak_score` on."""

    def embed(self, frame: Frame, boxes_xyxy_px: NDArray[np.float64]) -> NDArray[np.float32]:
        """What each box looks like: float[N, 4] -> float32[N, D] of unit length."""

    def ground(self, frame: Frame, spec: TaskSpec) -> tuple[Detection, ...]:
        """Answer a GROUND command; () where nothing is found."""

    def segment(self, frame: Frame, spec: TaskSpec) -> tuple[Mask, ...]:
        """Answer a SEGMENT command; () where the model does not segment."""


@dataclass
class _Followed:
    """What one command follows on one camera.

    Attributes:
        targets: ids of the objects chosen where the command names a number of them ("the red car").
        chosen: whether there has been a target.
        cutout: the last mask, cropped to the box of the target.
    """

    tracker: Tracker
    last_s: float = float("-inf")
    targets: list[int] = field(default_factory=list)
    chosen: bool = False
    cutout: NDArray[np.bool_] | None = None


class Video:
    """Frame memory and tracks of every camera. Used from one thread."""

    tasks = frozenset({Task.TRACK, Task.RECALL})

    def __init__(self, config: VideoConfig) -> None:
        self.config = config
        self.memory = FrameMemory(config)
        self._followed: OrderedDict[tuple[str, TaskSpec], _Followed] = OrderedDict()
        self._ids = itertools.count(1)

    def answer(self, frame: Frame, spec: TaskSpec, eyes: Eyes) -> Perception:
        """Answer TRACK or RECALL."""
        self.memory.note(frame)
        return self.track(frame, spec, eyes) if spec.task is Task.TRACK else self.recall(frame, spec, eyes)

    def track(self, frame: Frame, spec: TaskSpec, eyes: Eyes) -> Perception:
        """The objects seen now with stable ids.

        Returns:
            OK; STALE when objects were followed and none of them is seen now; NOTHING_FOUND before the first and
            after the last is forgotten. A single target carries its mask where the model segments.
        """
        followed, now_s = self._state(frame, spec)
        wanted = replace(spec, task=Task.DETECT, max_objects=0, prompt=None)
        found = eyes.detect(frame, wanted if spec.prompt is None else replace(wanted, region=WHOLE_IMAGE))
        seen = followed.tracker.update(now_s, found, _appearances(eyes, frame, found))
        known = followed.tracker.known()
        if spec.max_objects:
            meant = _marked(followed, _described(followed, seen, spec, frame, eyes), spec, frame)
            _choose(followed, known, meant, spec.max_objects)
            seen = tuple(item for item in seen if item.track_id in followed.targets)
            known = [track for track in known if track.id in followed.targets]
        if not seen:
            followed.cutout = None
            text = _lost(known, now_s)
            return Perception(Task.TRACK, Status.STALE if known else Status.NOTHING_FOUND, text)
        wants_mask = self.config.track_masks and spec.max_objects == 1
        masks = _masks(followed, frame, seen[0], spec, eyes) if wants_mask else ()
        inside = tuple(replace(item, box_xyxy_px=_inside(item.box_xyxy_px, frame.size_wh_px)) for item in seen)
        return Perception(Task.TRACK, Status.OK, detections=inside, masks=masks)

    def recall(self, frame: Frame, spec: TaskSpec, eyes: Eyes) -> Perception:
        """What was seen of some classes in the last seconds: how many objects, when first and when last.

        Returns:
            OK with a caption, also when the answer is no; DEGRADED where less than half of the time asked about is
            remembered; REJECTED for frames without stamps.
        """
        kept = list(self.memory.last(frame, spec.past_s))
        if not kept:
            text = "nothing is remembered of this camera: its frames carry no time, or memory_s is 0"
            return Perception(Task.RECALL, Status.REJECTED, text)
        tracker, best = Tracker(self.config), 0.0
        for each in kept:
            found, looks = self._found(each, spec, eyes)
            tracker.update(each.frame.stamp_ns / 1e9, found, looks)
            best = max([best, *(item.score for item in found)])
        span_s = (frame.stamp_ns - kept[0].frame.stamp_ns) / 1e9
        asked_s = spec.past_s or self.config.memory_s
        short = span_s < SHORT_MEMORY * asked_s
        reserve = f"only {span_s:.1f} s of the {asked_s:g} s asked about are remembered" if short else ""
        caption = _told(tracker.known(), frame.stamp_ns, span_s, spec, best)
        return Perception(Task.RECALL, Status.DEGRADED if short else Status.OK, reserve, caption=caption)

    def _found(self, kept: Remembered, spec: TaskSpec, eyes: Eyes) -> Found:
        question = (*spec.classes, *map(str, spec.region))
        if question not in kept.found:
            found = eyes.detect(kept.frame, TaskSpec(Task.DETECT, spec.classes, region=spec.region))
            kept.note(question, (found, _appearances(eyes, kept.frame, found)))
        return kept.found[question]

    def _state(self, frame: Frame, spec: TaskSpec) -> tuple[_Followed, float]:
        """State of a command on a camera, begun anew when its clock goes back, and the frame's time."""
        key = (frame.camera, replace(spec, mode=TaskSpec.mode, rate_hz=0.0, time_to_live_s=0.0))
        followed = self._followed.pop(key, None)
        before_s = followed.last_s if followed is not None else 0.0
        now_s = frame.stamp_ns / 1e9 if frame.stamp_ns > 0 else max(before_s, 0.0) + UNSTAMPED_PERIOD_S
        if followed is None or now_s < before_s:
            followed = _Followed(Tracker(self.config, self._ids))
        followed.last_s = now_s
        self._followed[key] = followed
        while len(self._followed) > MAX_FOLLOWED:
            self._followed.popitem(last=False)
        return followed, now_s


def _appearances(eyes: Eyes, frame: Frame, found: Sequence[Detection]) -> NDArray[np.float32]:
    if not found:
        return np.zeros((0, 1), np.float32)
    return eyes.embed(frame, np.array([item.box_xyxy_px for item in found], np.float64))


def _choose(followed: _Followed, known: Sequence[Track], seen: Sequence[Detection], number: int) -> None:
    """Stay with the targets chosen first; one that is forgotten makes room for the best that is seen."""
    remembered = {track.id for track in known}
    followed.targets = [target for target in followed.targets if target in remembered]
    others = [item.track_id for item in seen if item.track_id not in followed.targets]
    followed.targets += others[: number - len(followed.targets)]
    followed.chosen = followed.chosen or bool(followed.targets)


def _described(
    followed: _Followed, seen: Sequence[Detection], spec: TaskSpec, frame: Frame, eyes: Eyes
) -> Sequence[Detection]:
    """Before there is a target, what the whole phrase means comes first: "the red car", "the leftmost person"."""
    phrase = spec.phrase or "".join(spec.classes[:1])
    if followed.chosen or spec.max_objects != 1 or not phrase or spec.prompt is not None or len(seen) < 2:
        return seen
    meant = eyes.ground(frame, replace(spec, task=Task.GROUND, phrase=phrase))
    if not meant:
        return seen
    agree = overlaps(np.array([meant[0].box_xyxy_px]), np.array([item.box_xyxy_px for item in seen]))[0]
    best = int(agree.argmax())
    return [seen[best], *(item for item in seen if item is not seen[best])] if agree[best] >= MASK_IOU else seen


def _marked(followed: _Followed, seen: Sequence[Detection], spec: TaskSpec, frame: Frame) -> Sequence[Detection]:
    """What a mark means in the first frame that shows something there; once chosen, a target may go anywhere."""
    if spec.prompt is None:
        return seen
    return () if followed.chosen else select(seen, spec.prompt, frame.size_wh_px)


def _lost(known: Sequence[Track], now_s: float) -> str:
    if not known:
        return "not seen yet"
    track = known[0]
    return (
        f"lost {track.last.label} {track.id} for {now_s - track.last_s:.1f} s, "
        f"last seen at {place_of(track.last.box_xyxy_px)}"
    )


def _masks(followed: _Followed, frame: Frame, target: Detection, spec: TaskSpec, eyes: Eyes) -> tuple[Mask, ...]:
    """The segmenter's mask of the target; where it misses, the last mask moves along with the box."""
    wanted = replace(spec, task=Task.SEGMENT, phrase=spec.phrase or target.label, max_objects=0, prompt=None)
    wanted = wanted if spec.prompt is None else replace(wanted, region=WHOLE_IMAGE)
    candidates = eyes.segment(frame, wanted)
    boxes = np.array([mask.box_xyxy_px for mask in candidates]).reshape(-1, 4)
    agree = overlaps(np.array([target.box_xyxy_px]), boxes)[0]
    if len(agree) and agree.max() >= MASK_IOU:
        mask = candidates[int(agree.argmax())]
        followed.cutout = _cut(mask.inside, target.box_xyxy_px)
        return (replace(mask, label=target.label, track_id=target.track_id),)
    if followed.cutout is None:
        return ()
    inside = _pasted(followed.cutout, target.box_xyxy_px, frame.size_wh_px)
    return (Mask(target.label, target.score, inside, target.box_xyxy_px, target.track_id),) if inside.any() else ()


def _inside(box: Box, size_wh_px: tuple[int, int]) -> Box:
    """The part of a box that is in the picture, at least a pixel each way; a filtered box may reach beyond it."""
    width, height = size_wh_px
    left, top = min(max(box[0], 0.0), width - 1.0), min(max(box[1], 0.0), height - 1.0)
    return left, top, max(min(box[2], float(width)), left + 1), max(min(box[3], float(height)), top + 1)


def _corners(box: Box, size_wh_px: tuple[int, int]) -> tuple[int, int, int, int]:
    """Whole pixels of a box inside the picture, at least one each way."""
    width, height = size_wh_px
    left, top = min(max(int(box[0]), 0), width - 1), min(max(int(box[1]), 0), height - 1)
    return left, top, min(max(int(np.ceil(box[2])), left + 1), width), min(max(int(np.ceil(box[3])), top + 1), height)


def _cut(inside: NDArray[np.bool_], box: Box) -> NDArray[np.bool_]:
    left, top, right, bottom = _corners(box, (inside.shape[1], inside.shape[0]))
    return inside[top:bottom, left:right].copy()


def _pasted(cutout: NDArray[np.bool_], box: Box, size_wh_px: tuple[int, int]) -> NDArray[np.bool_]:
    left, top, right, bottom = _corners(box, size_wh_px)
    moved = cv2.resize(cutout.astype(np.uint8), (right - left, bottom - top), interpolation=cv2.INTER_NEAREST)
    inside = np.zeros((size_wh_px[1], size_wh_px[0]), np.bool_)
    inside[top:bottom, left:right] = moved > 0
    return inside


def _told(known: Sequence[Track], now_ns: int, span_s: float, spec: TaskSpec, best: float) -> Caption:
    """The answer in words, and when the objects were seen first and last."""
    asked = spec.phrase.partition(" ")[0] in ("did", "has", "have", "was", "were")
    period = f"in the last {span_s:.1f} s"
    if not known:
        nothing = " or ".join(spec.classes) if len(spec.classes) < 4 else "nothing"
        return Caption(f"{'no: ' if asked else ''}no {nothing} {period}", 1.0 - best, spec.phrase)
    counts = Counter(track.last.label for track in known)
    listed = " and ".join(f"{number} {label if number == 1 else plural(label)}" for label, number in counts.items())
    seen_ns = (round(min(track.first_s for track in known) * 1e9), round(max(track.last_s for track in known) * 1e9))
    first_s, last_s = ((now_ns - stamp_ns) / 1e9 for stamp_ns in seen_ns)
    when = f"first seen {first_s:.1f} s ago, last seen {f'{last_s:.1f} s ago' if last_s > 0.05 else 'now'}"
    return Caption(f"{'yes: ' if asked else ''}{listed} {period}, {when}", best, spec.phrase, seen_ns)
