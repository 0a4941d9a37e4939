"""The VisionLLM route: instruction-defined sets of boxes, outlines, or one grounded object."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vision_llm_ros.config import RuntimeConfig
from vision_llm_ros.interfaces import Detection, Perception, Status, Task, TaskSpec
from vision_llm_ros.language.instructions import build, class_windows
from vision_llm_ros.model.detector import VisionLLM, Words, select_tokens
from vision_llm_ros.model.geometry import suppress_overlaps
from vision_llm_ros.model.letterbox import Letterbox
from vision_llm_ros.model.set_decoder import decode_points
from vision_llm_ros.model.tokenizer import ImageTokens
from vision_llm_ros.runtime.routes import Stopwatch, View

_REMEMBERED_COMMANDS = 16


class SetRoute:
    """Fulfils `routes.Route` for detection, grounding and polygons."""

    def __init__(self, model: VisionLLM, tasks: frozenset[Task], weights_hash: str, runtime: RuntimeConfig) -> None:
        self.model, self.tasks, self.weights_hash = model, tasks, weights_hash
        self.config, self.runtime = model.config, runtime
        self._words: OrderedDict[tuple[object, ...], Words] = OrderedDict()

    def answer(self, view: View, spec: TaskSpec, watch: Stopwatch) -> Perception:
        """See `routes.Route.answer`."""
        found: list[Detection] = []
        windows = list(class_windows(spec.classes, self.config.class_tokens)) or [()]
        for number, window in enumerate(windows):
            part = replace(spec, classes=window) if len(windows) > 1 else spec
            offset = number * self.config.class_tokens
            found += [replace(d, class_index=d.class_index + offset) for d in self._detect(view, part, watch)]
        found.sort(key=lambda detection: -detection.score)
        limit = min(spec.max_objects or self.runtime.max_detections, self.runtime.max_detections)
        if spec.task is Task.GROUND:
            limit = 1
        status = Status.OK if found else Status.NOTHING_FOUND
        return Perception(spec.task, status, detections=tuple(found[:limit]))

    def _detect(self, view: View, spec: TaskSpec, watch: Stopwatch) -> list[Detection]:
        image = view.image
        with watch.stage("instruction"):
            words = self._read(spec)
        with watch.stage("tokenizer"):
            tokens = self.model.tokens(image, words)
            chosen = select_tokens(tokens, self._worth_decoding(tokens))
        if chosen.centres.shape[1] == 0:
            return []
        with watch.stage("decode"):
            logits = self.model.decode(words, chosen)
            points = decode_points(logits, chosen)[0].float()
            scores = logits.classes[0].float().softmax(-1)[:, :-1]
        with watch.stage("finish"):
            return self._detections(points, scores, words.instruction.classes, view.transform, spec)

    def _read(self, spec: TaskSpec) -> Words:
        """What depends on words alone, kept for the commands used last."""
        key = (spec.task, spec.classes, spec.phrase, spec.num_points, spec.instruction)
        if key not in self._words:
            instruction = build(spec, location_range=self.config.location_bins // 2)
            self._words[key] = self.model.read(instruction)
        self._words.move_to_end(key)
        while len(self._words) > _REMEMBERED_COMMANDS:
            self._words.popitem(last=False)
        return self._words[key]

    def _worth_decoding(self, tokens: ImageTokens) -> Tensor:
        """Adaptive decoding: int[1, M'] of the image tokens that may show something listed."""
        return (tokens.objectness[0] >= self.runtime.objectness_threshold).nonzero().T

    def _detections(
        self, points: Tensor, scores: Tensor, classes: tuple[str, ...], transform: Letterbox, spec: TaskSpec
    ) -> list[Detection]:
        """Tuples to detections: inside the region, thresholded, overlaps removed, in source pixels.

        Args:
            points: float[M, P, 2] fractions; two corners or an outline.
            scores: float[M, K].
        """
        outlines = transform.to_source(points.cpu().numpy())
        boxes = np.concatenate([outlines.min(1), outlines.max(1)], -1)
        acceptable = torch.from_numpy(_acceptable(boxes, spec, transform.source_wh_px)).to(scores.device)
        good = (scores >= max(self.runtime.score_threshold, 1e-3)) & acceptable[:, None]
        rows, labels = good.nonzero(as_tuple=True)
        order = scores[rows, labels].argsort(descending=True)[: 4 * self.runtime.max_detections]
        rows, labels = rows[order], labels[order]
        unit = torch.cat([points.amin(1), points.amax(1)], -1)[rows]
        kept = suppress_overlaps(unit, labels, self.runtime.iou_threshold, self.runtime.max_detections)
        answers = []
        for row, label in zip(rows[kept].tolist(), labels[kept].tolist(), strict=True):
            x_min, y_min, x_max, y_max = map(float, boxes[row])
            polygon = outlines[row] if spec.num_points > 2 else None
            score = float(scores[row, label])
            answers.append(Detection(classes[label], label, score, (x_min, y_min, x_max, y_max), polygon))
        return answers


def _acceptable(boxes_xyxy_px: NDArray[np.float32], spec: TaskSpec, size_wh_px: tuple[int, int]) -> NDArray[np.bool_]:
    """bool[M]: boxes of at least one pixel with their centre in the command's region."""
    low, high = boxes_xyxy_px[:, :2], boxes_xyxy_px[:, 2:]
    centres = (low + high) / 2 / np.array(size_wh_px, np.float32)
    inside = (centres >= spec.region[:2]) & (centres <= spec.region[2:])
    return np.asarray(inside.all(1) & (high - low >= 1).all(1))
