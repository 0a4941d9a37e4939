"""Which object of this frame is which of the frames before: stable ids, lost targets, recognition after occlusion.

Association after ByteTrack (section 3: strong detections first, then weak ones for known tracks) with motion and
appearance in one cost; the assignment is SciPy's. Boxes are steadied twice: within a frame by the weak boxes around a
strong one, from frame to frame by an alpha-beta filter. No torch, no ROS, no clock of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from vision_llm_ros.config import VideoConfig
from vision_llm_ros.interfaces import Box, Detection

Array = NDArray[np.float64]

FORBIDDEN = 1e6
LONGEST_GAP_S = 0.7  # beyond it a velocity predicts nothing
PREDICTED_SHARE = 0.4  # in a track's box, less the longer ago it was seen; the rest is measured
LARGEST_SIZE_JITTER = 0.2  # |log ratio|; beyond it the detector is believed in part only
MOTION_GAIN = 0.5
APPEARANCE_GAIN = 0.15
LARGEST_SIZE_CHANGE = np.log(2.0)
RESIZING_PER_S = 2.0  # by which that grows while a track is not seen, e.g. half hidden
FUSED_IOU = 0.4
CLEAR_COST = 0.3  # below it a track seen of late and a strong detection belong together, whatever is left over
SAME_OBJECT_IOU = 0.6
NESTED = 0.7  # share of a box inside another of its class: a part of that object, or the object and more
WEAK_IOU = 0.3
WEAK_SIMILARITY = 0.7


@dataclass
class Track:
    """One object through time. Geometry in source pixels, times in seconds of the frames' stamps.

    Attributes:
        centre, size, velocity: float[2]; velocity in pixels a second.
        appearance: float32[D] of unit length, a running mean.
        hits: frames it was seen in; strong_hits: those of them in which its detection was a strong one.
    """

    id: int
    last: Detection
    centre: Array
    size: Array
    velocity: Array
    appearance: NDArray[np.float32]
    first_s: float
    last_s: float
    hits: int = 1
    strong_hits: int = 1
    confirmed: bool = False

    def predicted(self, now_s: float) -> Array:
        """xyxy where it should be now, by its last velocity."""
        centre = self.centre + self.velocity * min(now_s - self.last_s, LONGEST_GAP_S)
        return np.concatenate([centre - self.size / 2, centre + self.size / 2])

    def see(self, detection: Detection, appearance: NDArray[np.float32], now_s: float, strong: bool) -> None:
        """Take a detection for this object; two strong ones confirm it, weak ones never do."""
        box, expected = np.array(detection.box_xyxy_px), self.predicted(now_s)
        filtered = self._filtered(box, expected, now_s - self.last_s)
        jumped = _size_change(expected[None], box[None]).item() > LARGEST_SIZE_JITTER
        self.centre, self.size = (filtered[:2] + filtered[2:]) / 2, filtered[2:] - filtered[:2]
        self.last = replace(detection, box_xyxy_px=_box(filtered if jumped else box), track_id=self.id)
        self.appearance = _unit((1 - APPEARANCE_GAIN) * self.appearance + APPEARANCE_GAIN * appearance)
        self.last_s, self.hits = now_s, self.hits + 1
        self.strong_hits += strong
        self.confirmed = self.confirmed or self.strong_hits >= 2

    def _filtered(self, box: Array, expected: Array, gap_s: float) -> Array:
        """The mean of a measured box xyxy and the expected one; adapts the velocity."""
        fresh = 1.0 - gap_s / LONGEST_GAP_S
        if fresh < 0:
            self.velocity = np.zeros(2)
            return box
        measured = ((box[:2] + box[2:]) / 2 - self.centre) / max(gap_s, 1e-3)
        self.velocity = self.velocity + MOTION_GAIN * (measured - self.velocity)
        return np.asarray(box + PREDICTED_SHARE * fresh * (expected - box))


class Tracker:
    """Every object of one command on one camera.

    Args:
        config: thresholds.
        ids: where new ids come from; trackers that share it never give the same id twice.
    """

    def __init__(self, config: VideoConfig, ids: Iterator[int] | None = None) -> None:
        self.config = config
        self.tracks: list[Track] = []
        self.updates = 0
        self._ids = ids or itertools.count(1)

    def update(
        self, now_s: float, detections: Sequence[Detection], appearances: NDArray[np.float32]
    ) -> tuple[Detection, ...]:
        """Take the detections of the next frame.

        Args:
            now_s: the frame's time; must not fall.
            appearances: float32[len(detections), D], of unit length.
        Returns:
            the detections of confirmed tracks with their ids, by falling score; boxes whose size jumps are filtered. An
            object of the first frame is confirmed at once, a later one when it is strongly seen for the second time.
        """
        self.tracks = [track for track in self.tracks if self._is_kept(track, now_s)]
        detections = self._fused(detections)
        strong = [i for i, found in enumerate(detections) if found.score >= self.config.track_score]
        weak = [i for i in range(len(detections)) if i not in strong and self._is_weak(detections[i])]
        free = list(self.tracks)
        for cost in (self._clear_cost, self._strong_cost):
            for track, index in _matched(free, strong, detections, appearances, now_s, cost):
                track.see(detections[index], appearances[index], now_s, strong=True)
                free.remove(track)
                strong.remove(index)
        recent = [track for track in free if now_s - track.last_s <= LONGEST_GAP_S]
        weak = [index for index in weak if not self._is_nested(detections[index], now_s)]
        for track, index in _matched(recent, weak, detections, appearances, now_s, _weak_cost):
            track.see(detections[index], appearances[index], now_s, strong=False)
        for index in sorted(strong, key=lambda index: -detections[index].score):
            self._begin(detections[index], appearances[index], now_s)
        self.updates += 1
        seen = [track.last for track in self.tracks if track.last_s == now_s and track.confirmed]
        return tuple(sorted(seen, key=lambda found: -found.score))

    def known(self) -> list[Track]:
        """Confirmed tracks, those seen last first."""
        return sorted((track for track in self.tracks if track.confirmed), key=lambda track: -track.last_s)

    def _is_kept(self, track: Track, now_s: float) -> bool:
        """Confirmed tracks are remembered for long; one that was seen once only, for a moment."""
        return now_s - track.last_s <= (self.config.track_forget_s if track.confirmed else LONGEST_GAP_S)

    def _is_weak(self, detection: Detection) -> bool:
        return self.config.track_weak_score <= detection.score < self.config.track_score

    def _fused(self, detections: Sequence[Detection]) -> list[Detection]:
        """Strong boxes averaged by score with the weak ones of their class that overlap them.

        Source: weighted boxes fusion (Solovyev and others, 2021); we keep the strong one's score.
        """
        found = list(detections)
        boxes = np.array([item.box_xyxy_px for item in found]).reshape(-1, 4)
        names, scores = (np.array([getattr(item, key) for item in found]) for key in ("class_index", "score"))
        weak = np.array([self._is_weak(item) for item in found], bool)
        related = (overlaps(boxes, boxes) > FUSED_IOU) & (names[:, None] == names) & ~weak[:, None] & weak
        for place in np.flatnonzero(related.any(1)):
            group = related[place] | (np.arange(len(found)) == place)
            mean = np.average(boxes[group], axis=0, weights=scores[group])
            found[place] = replace(found[place], box_xyxy_px=_box(mean))
        return found

    def _is_nested(self, detection: Detection, now_s: float) -> bool:
        """Whether a detection shows a part of an object of its class that is seen now, or that object and more."""
        others = [track.last for track in self.tracks if track.last_s == now_s]
        boxes = [item.box_xyxy_px for item in others if item.class_index == detection.class_index]
        return bool(boxes) and nesting(np.array(boxes), np.array([detection.box_xyxy_px])).max() > NESTED

    def _begin(self, detection: Detection, appearance: NDArray[np.float32], now_s: float) -> None:
        """A new track, unless the detection shows an object that has just been recognised otherwise."""
        box = np.array(detection.box_xyxy_px)
        seen = [track.last.box_xyxy_px for track in self.tracks if track.last_s == now_s and track.hits > 1]
        same = bool(seen) and overlaps(np.array(seen), box[None]).max() > SAME_OBJECT_IOU
        if same or self._is_nested(detection, now_s):
            return
        number = next(self._ids)
        found = replace(detection, track_id=number)
        centre, size = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
        track = Track(number, found, centre, size, np.zeros(2), appearance.copy(), now_s, now_s)
        track.confirmed = self.updates == 0
        self.tracks.append(track)

    def _strong_cost(self, pairs: _Pairs) -> Array:
        """By motion and appearance; a track not seen for long is known by its appearance alone."""
        distance = distances(pairs.predicted, pairs.boxes)
        moved = 0.25 * pairs.overlap + 0.75 * np.exp(-2.0 * distance)
        long_gone = pairs.gap_s > LONGEST_GAP_S
        cost = np.where(long_gone, 1.0 - pairs.alike, 1.0 - 0.6 * moved - 0.4 * pairs.alike)
        reachable = distance <= 0.7 + 2.0 * pairs.gap_s
        unlike = pairs.alike < self.config.track_similarity
        limit = LARGEST_SIZE_CHANGE + RESIZING_PER_S * pairs.gap_s
        resized = ~long_gone & (_size_change(pairs.predicted, pairs.boxes) > limit)
        return np.where(pairs.other | ~reachable | unlike | resized, FORBIDDEN, cost)

    def _clear_cost(self, pairs: _Pairs) -> Array:
        """Of clear pairs alone: an assignment of all leaves no track over that it could give to anything."""
        cost = self._strong_cost(pairs)
        return np.where((cost < CLEAR_COST) & (pairs.gap_s <= LONGEST_GAP_S), cost, FORBIDDEN)


@dataclass(frozen=True)
class _Pairs:
    """T tracks against some N detections.

    Attributes:
        predicted, boxes: float[T, 4], float[N, 4].
        gap_s: float[T, 1] since each track was seen.
        overlap, alike: float[T, N], of boxes and of appearances.
        other: bool[T, N], of another class.
    """

    predicted: Array
    boxes: Array
    gap_s: Array
    overlap: Array
    alike: Array
    other: NDArray[np.bool_]


def _matched(
    tracks: list[Track],
    chosen: list[int],
    detections: Sequence[Detection],
    appearances: NDArray[np.float32],
    now_s: float,
    cost: Callable[[_Pairs], Array],
) -> list[tuple[Track, int]]:
    """Tracks with the chosen detections that are theirs, at the least cost."""
    if not tracks or not chosen:
        return []
    boxes = np.array([detections[i].box_xyxy_px for i in chosen])
    predicted = np.array([track.predicted(now_s) for track in tracks])
    names = np.array([detections[i].class_index for i in chosen])
    pairs = _Pairs(
        predicted,
        boxes,
        np.array([now_s - track.last_s for track in tracks])[:, None],
        overlaps(predicted, boxes),
        np.array([track.appearance for track in tracks]) @ appearances[chosen].T,
        np.array([track.last.class_index for track in tracks])[:, None] != names,
    )
    return [(tracks[row], chosen[column]) for row, column in assign(cost(pairs))]


def _weak_cost(pairs: _Pairs) -> Array:
    """By overlap: a weak detection is often half hidden, so that its looks only tell what it is not."""
    forbidden = pairs.other | (pairs.alike < WEAK_SIMILARITY) | (pairs.overlap < WEAK_IOU)
    return np.where(forbidden, FORBIDDEN, 1.0 - pairs.overlap)


def assign(cost: Array) -> list[tuple[int, int]]:
    """The pairs (row, column) of least total cost; forbidden pairs are left out."""
    rows, columns = linear_sum_assignment(cost)
    return [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if cost[r, c] < FORBIDDEN]


def overlaps(first: Array, second: Array) -> Array:
    """IoU of boxes xyxy: float[N, 4], float[M, 4] -> float[N, M]."""
    shared = _shared(first, second)
    return np.asarray(shared / np.maximum(_areas(first)[:, None] + _areas(second)[None] - shared, 1e-9))


def nesting(first: Array, second: Array) -> Array:
    """What two boxes xyxy share over the smaller one: float[N, 4], float[M, 4] -> float[N, M]."""
    smaller = np.minimum(_areas(first)[:, None], _areas(second)[None])
    return np.asarray(_shared(first, second) / np.maximum(smaller, 1e-9))


def distances(first: Array, second: Array) -> Array:
    """Distance of centres over the mean diagonal: float[N, 4], float[M, 4] xyxy -> float[N, M]."""
    apart = (first[:, None, :2] + first[:, None, 2:] - second[None, :, :2] - second[None, :, 2:]) / 2
    diagonals = [np.linalg.norm(boxes[:, 2:] - boxes[:, :2], axis=-1) for boxes in (first, second)]
    return np.asarray(np.linalg.norm(apart, axis=-1) / ((diagonals[0][:, None] + diagonals[1][None]) / 2 + 1e-9))


def place_of(box: Box) -> str:
    """For a sentence: "(120, 80)"."""
    return f"({(box[0] + box[2]) / 2:.0f}, {(box[1] + box[3]) / 2:.0f})"


def _box(corners: Array) -> Box:
    x_min, y_min, x_max, y_max = map(float, corners)
    return x_min, y_min, x_max, y_max


def _shared(first: Array, second: Array) -> Array:
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    return np.asarray(np.clip(high - low, 0, None).prod(-1))


def _areas(boxes: Array) -> Array:
    return np.asarray(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(-1))


def _size_change(first: Array, second: Array) -> Array:
    """Largest |log ratio| of widths and heights, float[N, M]."""
    sizes = [np.log(np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0)) for boxes in (first, second)]
    return np.asarray(np.abs(sizes[0][:, None] - sizes[1][None]).max(-1))


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    return (vector / max(float(np.linalg.norm(vector)), 1e-9)).astype(np.float32)
