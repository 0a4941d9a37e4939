"""Do ids stay with their objects: IDF1 and MOTA by the package `trackeval`, on generated sequences."""

from __future__ import annotations

from collections.abc import Sequence as Items
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from vision_llm_ros.config import VideoConfig
from vision_llm_ros.errors import ConfigError
from vision_llm_ros.evaluation.sequences import LEAST_VISIBLE, Seen, Sequence, draw_sequences, render
from vision_llm_ros.evaluation.trial import Trial
from vision_llm_ros.interfaces import Detection, Frame, Task, TaskSpec
from vision_llm_ros.runtime.tracking import assign, overlaps

SAME_IOU = 0.5
HOW_TO_INSTALL = "pip install --no-deps trackeval tabulate"


@dataclass
class Course:
    """One sequence as the metrics want it: per frame, true and given ids and the likeness of each pair."""

    truth: list[NDArray[np.int64]] = field(default_factory=list)
    given: list[NDArray[np.int64]] = field(default_factory=list)
    likeness: list[NDArray[np.float64]] = field(default_factory=list)

    def note(self, truth: Items[Seen], given: Items[Detection]) -> None:
        """Add a frame. What is found of an object that is hardly visible counts neither way, as in MOTChallenge."""
        required = [item for item in truth if item.visible >= LEAST_VISIBLE]
        optional = [item for item in truth if item.visible < LEAST_VISIBLE]
        table = alike(truth, given)
        pairs = [(row, column) for row, column in assign(1 - table) if table[row, column] >= SAME_IOU]
        excused = {column for row, column in pairs if truth[row] in optional}
        excused |= {i for i in range(len(given)) if i not in {c for _, c in pairs} and _within(given[i], optional)}
        kept = [item for place, item in enumerate(given) if place not in excused]
        self.truth.append(np.array([item.id for item in required], np.int64))
        self.given.append(np.array([item.track_id for item in kept], np.int64))
        self.likeness.append(alike(required, kept))

    def values(self) -> dict[str, Any]:
        """The form of `trackeval`'s metrics: ids renumbered from 0."""
        data: dict[str, Any] = {"num_timesteps": len(self.truth), "similarity_scores": self.likeness}
        for name, frames in (("gt", self.truth), ("tracker", self.given)):
            known, placed = np.unique(np.concatenate([*frames, np.zeros(0, np.int64)]), return_inverse=True)
            ends = np.cumsum([len(ids) for ids in frames])
            data[f"{name}_ids"] = np.split(placed, ends[:-1])
            data |= {f"num_{name}_ids": len(known), f"num_{name}_dets": int(ends[-1])}
        return data


class OverlapTracker:
    """The plain baseline: detections go to the box of the frame before that they overlap most; no motion, no looks."""

    def __init__(self) -> None:
        self._before: list[Detection] = []
        self._made = 0

    def update(self, detections: Items[Detection]) -> tuple[Detection, ...]:
        now = [replace(item, track_id=-1) for item in detections]
        boxes = [np.array([item.box_xyxy_px for item in part]).reshape(-1, 4) for part in (self._before, now)]
        overlap = overlaps(*boxes)
        for row, column in assign(1 - overlap) if overlap.size else []:
            if overlap[row, column] >= 0.3 and self._before[row].label == now[column].label:
                now[column] = replace(now[column], track_id=self._before[row].track_id)
        for place, item in enumerate(now):
            if item.track_id < 0:
                self._made += 1
                now[place] = replace(item, track_id=self._made)
        self._before = now
        return tuple(now)


def track(trial: Trial, count: int) -> dict[str, Any]:
    """Follow every object through generated sequences.

    Returns:
        idf1, mota, id_switches, false_positives, misses, objects (boxes to find), per_sequence, and the same of the
        baseline `overlap` on the model's detections of the same frames.
    Raises:
        UnsupportedTaskError: the model does not track.
        ConfigError: `trackeval` is not installed.
    """
    load_metrics()
    trial.require(Task.TRACK)
    ours: dict[str, Course] = {}
    plain: dict[str, Course] = {}
    for sequence in draw_sequences(count, trial.seed):
        ours[sequence.name], plain[sequence.name] = _courses(trial, sequence)
    trial.finish()
    return {**tracking_metrics(ours), "baselines": {"overlap": tracking_metrics(plain)}}


def tracking_metrics(courses: dict[str, Course]) -> dict[str, Any]:
    """The metrics over all sequences and of each."""
    clear, identity = load_metrics()
    parts: dict[str, tuple[Any, Any]] = {
        name: (clear.eval_sequence(course.values()), identity.eval_sequence(course.values()))
        for name, course in courses.items()
    }
    whole = (
        clear.combine_sequences({name: part[0] for name, part in parts.items()}),
        identity.combine_sequences({name: part[1] for name, part in parts.items()}),
    )
    return {**_numbers(*whole), "per_sequence": {name: _numbers(*part) for name, part in parts.items()}}


def load_metrics() -> tuple[Any, Any]:
    """CLEAR and identity metrics of `trackeval`."""
    try:
        from trackeval.metrics import CLEAR, Identity
    except ImportError as error:
        raise ConfigError(f"Tracking is measured by trackeval, which is not installed: {HOW_TO_INSTALL}") from error
    quiet = {"PRINT_CONFIG": False, "THRESHOLD": SAME_IOU}
    return CLEAR(quiet), Identity(quiet)


def alike(truth: Items[Seen], given: Items[Detection]) -> NDArray[np.float64]:
    """IoU of true and given boxes of the same label, else 0: float[len(truth), len(given)]."""
    boxes = [np.array([item.box_xyxy_px for item in part], np.float64).reshape(-1, 4) for part in (truth, given)]
    same = np.array([[a.label == b.label for b in given] for a in truth], bool).reshape(len(truth), len(given))
    return np.where(same, overlaps(*boxes), 0.0)


def _courses(trial: Trial, sequence: Sequence) -> tuple[Course, Course]:
    ours, plain, baseline = Course(), Course(), OverlapTracker()
    specs = TaskSpec(Task.TRACK, sequence.labels), TaskSpec(Task.DETECT, sequence.labels)
    total, threshold = round(sequence.seconds * 10), VideoConfig().track_score
    for stamp_ns, image, truth in tqdm(render(sequence), sequence.name, total, unit="frame", disable=trial.quiet):
        trial.see(image)
        frame = Frame(image, stamp_ns, camera=sequence.name)
        followed, found = trial.ask(sequence.name, frame, specs)
        ours.note(truth, followed.detections)
        plain.note(truth, baseline.update([item for item in found.detections if item.score >= threshold]))
    return ours, plain


def _within(item: Detection, hidden: Items[Seen]) -> bool:
    """Whether a box mostly shows a rest of a hidden object."""
    for other in hidden:
        low, high = (
            np.maximum(item.box_xyxy_px[:2], other.box_xyxy_px[:2]),
            np.minimum(item.box_xyxy_px[2:], other.box_xyxy_px[2:]),
        )
        area = (item.box_xyxy_px[2] - item.box_xyxy_px[0]) * (item.box_xyxy_px[3] - item.box_xyxy_px[1])
        if item.label == other.label and np.clip(high - low, 0, None).prod() >= SAME_IOU * area:
            return True
    return False


def _numbers(clear: dict[str, Any], identity: dict[str, Any]) -> dict[str, Any]:
    return {
        "idf1": float(identity["IDF1"]),
        "mota": float(clear["MOTA"]),
        "id_switches": int(clear["IDSW"]),
        "false_positives": int(clear["CLR_FP"]),
        "misses": int(clear["CLR_FN"]),
        "objects": int(clear["CLR_TP"] + clear["CLR_FN"]),
    }
