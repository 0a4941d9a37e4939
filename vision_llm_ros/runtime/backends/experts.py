"""Published models through transformers: zero-shot detector, promptable segmenter, vision-language model, restorer.

Any checkpoint of these kinds serves, from a local folder or from the hub at a pinned commit; code that comes with a
checkpoint is never run. What each is named by stands in `ExpertsConfig`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from vision_llm_ros.config import RuntimeConfig
from vision_llm_ros.errors import ConfigError, EngineError, UnsupportedTaskError, VisionLLMError
from vision_llm_ros.interfaces import Box, Caption, Detection, Frame, Mask, Perception, Restored, Status, Task, TaskSpec
from vision_llm_ros.model import pretrained
from vision_llm_ros.runtime.backends import Health
from vision_llm_ros.runtime.counting_off import counted_off
from vision_llm_ros.runtime.hardware import choose_device
from vision_llm_ros.runtime.regions import pixels_of, within

Image = NDArray[np.uint8]
_CLASSES = {
    "detector": "AutoModelForZeroShotObjectDetection",
    "segmenter": "AutoModelForMaskGeneration",
    "vlm": "AutoModelForImageTextToText",
    "restorer": "AutoModelForImageToImage",
}
_SERVES = {
    "detector": {Task.DETECT, Task.GROUND},
    "segmenter": {Task.SEGMENT},
    "vlm": {Task.CAPTION, Task.ANSWER},
    "restorer": {Task.RESTORE},
}
_LENGTHS = {"": "Describe this picture.", "short": "Describe this picture in one sentence.",
            "long": "Describe this picture in detail."}  # fmt: skip


@dataclass(frozen=True)
class Part:
    """One loaded checkpoint."""

    model: Any
    processor: Any
    source: str
    revision: str


class Experts:
    """Fulfils `backends.Backend` with the checkpoints that are named in the settings."""

    name = "experts"
    dtype = "float32"

    def __init__(self, runtime: RuntimeConfig) -> None:
        """Load what is named.

        Raises:
            ConfigError: nothing is named, or a segmenter without a detector.
            WeightsError: a checkpoint is not there or of another kind; the message has the command that brings it.
        """
        self.runtime, self._device = runtime, choose_device(runtime.device)
        named = {kind: getattr(runtime, f"expert_{kind}") for kind in _CLASSES}
        if not any(named.values()):
            settings = ", ".join(f"expert_{kind}" for kind in _CLASSES)
            raise ConfigError(f"Back end 'experts' has no checkpoint; name a folder or a hub id in one of: {settings}")
        if named["segmenter"] and not named["detector"]:
            raise ConfigError("expert_segmenter needs expert_detector, whose boxes it turns into masks")
        self._parts = {kind: self._load(kind, source) for kind, source in named.items() if source}
        self.tasks = frozenset(task for kind in self._parts for task in _SERVES[kind])
        told = ";".join(f"{part.source}@{part.revision}" for part in self._parts.values())
        self.weights_hash = hashlib.sha256(told.encode()).hexdigest()[:12]

    @property
    def device(self) -> str:
        return str(self._device)

    def health(self) -> Health:
        """Whether every parameter is a number."""
        for kind, part in self._parts.items():
            if not all(bool(torch.isfinite(value).all()) for value in part.model.parameters()):
                return Health(False, f"{kind} {part.source} holds values that are no numbers; fetch it again")
        told = ", ".join(f"{kind} {part.source}" for kind, part in self._parts.items())
        return Health(True, f"{told} on {self.device}")

    def warm_up(self) -> None:
        """One grey picture through every part."""
        frame = Frame(np.full((96, 128, 3), 128, np.uint8))
        for task in sorted(self.tasks):
            self.perceive(frame, (TaskSpec(task, ("person",), "person"),))

    def perceive(self, frame: Frame, specs: tuple[TaskSpec, ...]) -> tuple[Perception, ...]:
        """See `interfaces.Engine.perceive`."""
        for spec in specs:
            if spec.task not in self.tasks:
                served = ", ".join(sorted(self.tasks))
                raise UnsupportedTaskError(f"Back end 'experts' cannot {spec.task}; it serves {served}")
        try:
            with torch.inference_mode():
                return tuple(within(partial(counted_off, self._answer), frame, spec) for spec in specs)
        except VisionLLMError:
            raise
        except Exception as error:
            raise EngineError(f"experts failed on a {frame.size_wh_px} frame: {error}") from error

    def _answer(self, frame: Frame, spec: TaskSpec) -> Perception:
        answers: dict[Task, Callable[[Frame, TaskSpec], Perception]] = {
            Task.DETECT: self._detect,
            Task.GROUND: self._detect,
            Task.SEGMENT: self._segment,
            Task.CAPTION: self._tell,
            Task.ANSWER: self._tell,
            Task.RESTORE: self._restore,
        }
        return answers[spec.task](frame, spec)

    def _load(self, kind: str, source: str) -> Part:
        import transformers

        what, revision = f"expert_{kind}", getattr(self.runtime, f"expert_{kind}_revision")
        place = pretrained.locate(source, revision, what)
        model = pretrained.load(getattr(transformers, _CLASSES[kind]), place, revision, what, trust_remote_code=False)
        loader = transformers.AutoImageProcessor if kind == "restorer" else transformers.AutoProcessor
        with pretrained.guarded(place, revision, what):
            processor = loader.from_pretrained(place, revision=revision or None, trust_remote_code=False)
        return Part(model.to(self._device).eval(), processor, source, revision)

    # --- one method a kind ----------------------------------------------------------------------------------------

    def _detect(self, frame: Frame, spec: TaskSpec) -> Perception:
        found = [item for item in self._boxes(frame.image_rgb_u8, spec) if _inside(item.box_xyxy_px, spec, frame)]
        most = 1 if spec.task is Task.GROUND else spec.max_objects or self.runtime.max_detections
        status = Status.OK if found else Status.NOTHING_FOUND
        return Perception(spec.task, status, detections=tuple(found[: min(most, self.runtime.max_detections)]))

    def _boxes(self, image: Image, spec: TaskSpec) -> list[Detection]:
        part, labels = self._parts["detector"], list(spec.classes or (spec.phrase,))
        height, width = image.shape[:2]
        inputs = part.processor(images=image, text=[labels], return_tensors="pt").to(self._device)
        processed = part.processor.post_process_grounded_object_detection(
            part.model(**inputs),
            threshold=max(self.runtime.score_threshold, 1e-3),
            target_sizes=[(height, width)],
            text_labels=[labels],
        )[0]
        names = processed.get("text_labels") or processed["labels"]
        found = []
        for score, box, name in zip(processed["scores"], processed["boxes"], names, strict=True):
            index = _nearest(str(name), labels)
            x_min, y_min, x_max, y_max = (
                float(min(max(value, 0.0), limit))
                for value, limit in zip(box.tolist(), (width, height) * 2, strict=True)
            )
            if x_max - x_min >= 1 and y_max - y_min >= 1:
                found.append(Detection(labels[index], index, float(score), (x_min, y_min, x_max, y_max)))
        return sorted(found, key=lambda item: -item.score)

    def _segment(self, frame: Frame, spec: TaskSpec) -> Perception:
        found = self._detect(frame, spec).detections
        if not found:
            return Perception(spec.task, Status.NOTHING_FOUND)
        part = self._parts["segmenter"]
        boxes = [[list(item.box_xyxy_px) for item in found]]
        inputs = part.processor(images=frame.image_rgb_u8, input_boxes=boxes, return_tensors="pt").to(self._device)
        outputs = part.model(**inputs)
        sizes = [inputs[key].cpu() for key in ("original_sizes", "reshaped_input_sizes") if key in inputs]
        inside = part.processor.post_process_masks(outputs.pred_masks.cpu(), *sizes)[0]
        best = outputs.iou_scores[0].argmax(-1)
        masks = [self._mask(item, inside[i, int(best[i])].numpy() > 0) for i, item in enumerate(found)]
        kept = tuple(mask for mask in masks if mask is not None)
        return Perception(spec.task, Status.OK if kept else Status.NOTHING_FOUND, masks=kept)

    @staticmethod
    def _mask(item: Detection, inside: NDArray[np.bool_]) -> Mask | None:
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        if not len(rows):
            return None
        box = float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)
        return Mask(item.label, item.score, inside, box)

    def _tell(self, frame: Frame, spec: TaskSpec) -> Perception:
        """The region is cut out and asked about."""
        part = self._parts["vlm"]
        left, top, right, bottom = pixels_of(spec.region, frame.size_wh_px)
        image = np.ascontiguousarray(frame.image_rgb_u8[top:bottom, left:right])
        question = spec.phrase if spec.task is Task.ANSWER else _LENGTHS[spec.caption_length]
        inputs = part.processor(images=image, text=_prompt(part.processor, question), return_tensors="pt")
        inputs = inputs.to(self._device)
        out = part.model.generate(
            **inputs, max_new_tokens=self.runtime.expert_tokens, do_sample=False, output_scores=True,
            return_dict_in_generate=True,
        )  # fmt: skip
        tokens = out.sequences[0, -len(out.scores) :]
        sure = [float(step[0].float().softmax(-1)[token]) for step, token in zip(out.scores, tokens, strict=True)]
        text = part.processor.decode(tokens, skip_special_tokens=True).strip()
        score = float(np.exp(np.mean(np.log(np.maximum(sure, 1e-9)))))
        asked = spec.phrase if spec.task is Task.ANSWER else ""
        return Perception(spec.task, Status.OK if text else Status.NOTHING_FOUND, caption=Caption(text, score, asked))

    def _restore(self, frame: Frame, spec: TaskSpec) -> Perception:
        """What an image-to-image model makes of the frame, brought back to the frame's size."""
        part = self._parts["restorer"]
        inputs = part.processor(images=frame.image_rgb_u8, return_tensors="pt").to(self._device)
        made = part.model(**inputs).reconstruction[0].float().clamp(0, 1).permute(1, 2, 0).cpu().numpy()
        scale, (width, height) = made.shape[0] / inputs["pixel_values"].shape[-2], frame.size_wh_px
        made = made[: round(height * scale), : round(width * scale)]  # without the margin that the processor added
        image = cv2.resize((made * 255).round().astype(np.uint8), frame.size_wh_px, interpolation=cv2.INTER_AREA)
        quality = (0.0, 0.0)  # not judged by these models
        restored = Restored(np.asarray(image, np.uint8), spec.restore_kind or "denoise", *quality)
        return Perception(spec.task, text="this back end does not estimate quality", restored=restored)


def load(runtime: RuntimeConfig) -> Experts:
    """See `backends.Factory`."""
    return Experts(runtime)


def _nearest(name: str, labels: list[str]) -> int:
    """Which label a detector means; some give back only the words of it that they saw."""
    if name in labels:
        return labels.index(name)
    return max(range(len(labels)), key=lambda i: len(set(name.split()) & set(labels[i].split())))


def _prompt(processor: Any, question: str) -> str:
    """The checkpoint's own chat form; without one, the picture before the question."""
    if getattr(processor, "chat_template", None):
        content = [{"type": "image"}, {"type": "text", "text": question}]
        chat = [{"role": "user", "content": content}]
        return str(processor.apply_chat_template(chat, add_generation_prompt=True, tokenize=False))
    return f"{getattr(processor, 'image_token', '<image>')}\n{question}"


def _inside(box: Box, spec: TaskSpec, frame: Frame) -> bool:
    """Whether the centre lies in the command's region."""
    width, height = frame.size_wh_px
    x, y = (box[0] + box[2]) / 2 / width, (box[1] + box[3]) / 2 / height
    x_min, y_min, x_max, y_max = spec.region
    return x_min <= x <= x_max and y_min <= y <= y_max
