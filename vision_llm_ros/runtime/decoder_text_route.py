"""Captions and answers by the set decoder's language model; the setting `text_route` chooses among the writers."""

from __future__ import annotations

from pathlib import Path

import torch

from vision_llm_ros.config import DecoderTextConfig, RuntimeConfig
from vision_llm_ros.interfaces import WHOLE_IMAGE, Box, Caption, Frame, Perception, Status, Task, TaskSpec
from vision_llm_ros.language.instructions import build
from vision_llm_ros.model import weights
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.model.text_decoder import TextDecoder
from vision_llm_ros.runtime.routes import Stopwatch, View


class DecoderTextRoute:
    """Fulfils `routes.Route` for captions and answers."""

    def __init__(self, model: VisionLLM, decoder: TextDecoder, tasks: frozenset[Task], weights_hash: str) -> None:
        self.model, self.decoder = model, decoder.eval()
        self.tasks, self.weights_hash = tasks, weights_hash

    def answer(self, view: View, spec: TaskSpec, watch: Stopwatch) -> Perception:
        """See `routes.Route.answer`; a region is looked at alone, cut out of the frame."""
        if spec.region != WHOLE_IMAGE:
            view = view.of(_cut(view.frame, spec.region))
        pyramid, image, llm = view.pyramid, view.image, self.model.llm
        with watch.stage("tokenizer"):
            seen = self.decoder.to(pyramid[0].device).see(self.model, pyramid, image)
            ids = llm.tokenizer(build(spec).text, add_special_tokens=False)["input_ids"]
        with watch.stage("write"):
            written = self.decoder.write(llm, seen, torch.tensor(ids, dtype=torch.long, device=pyramid[0].device))
        if not written.text:
            return Perception(spec.task, Status.NOTHING_FOUND, "the model has no words for it")
        text = written.text[0].upper() + written.text[1:]
        return Perception(spec.task, caption=Caption(text, written.score, spec.phrase))


def load_route(folder: Path, model: VisionLLM, runtime: RuntimeConfig) -> DecoderTextRoute:
    """The route with its trained weights.

    Raises:
        WeightsError: files are missing, damaged or of another shape.
    """
    manifest = weights.read_manifest(folder, DecoderTextConfig)
    decoder = TextDecoder(manifest.config, model)
    own = decoder.learned(model.llm)
    weights.fill(own, weights.load(folder, sorted({key.partition(".")[0] for key in own})), str(folder))
    return DecoderTextRoute(model, decoder, frozenset(map(Task, manifest.trained)), manifest.short_hash)


def _cut(frame: Frame, region: Box) -> Frame:
    """The part of a frame inside a region xyxy, fractions 0..1; at least one pixel."""
    width, height = frame.size_wh_px
    x_min, y_min = min(int(region[0] * width), width - 1), min(int(region[1] * height), height - 1)
    x_max, y_max = max(round(region[2] * width), x_min + 1), max(round(region[3] * height), y_min + 1)
    return Frame(frame.image_rgb_u8[y_min:y_max, x_min:x_max], frame.stamp_ns, frame.frame_id, frame.camera)
