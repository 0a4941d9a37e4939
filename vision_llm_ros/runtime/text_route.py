"""The Q-Former's route: captions, answers and matching, checked against the detector on the same frame."""

from __future__ import annotations

import zlib
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vision_llm_ros.config import QFormerConfig, RuntimeConfig
from vision_llm_ros.interfaces import WHOLE_IMAGE, Box, Caption, Frame, Perception, Status, Task, TaskSpec
from vision_llm_ros.language.questions import Asked, Kind, understand
from vision_llm_ros.model import weights
from vision_llm_ros.model.blip import Blip, Look, fill
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.model.half_products import can_halve
from vision_llm_ros.model.prompt_writer import PROMPTS, QUESTION, Prompt, PromptWriter, Written
from vision_llm_ros.model.qformer import tokenize
from vision_llm_ros.runtime.answers import Answer, Answerer
from vision_llm_ros.runtime.hardware import choose_device, choose_dtype
from vision_llm_ros.runtime.matching import Matcher
from vision_llm_ros.runtime.routes import Stopwatch, View

_HISTORY = 4
_NO_EVIDENCE = -10.0
_BEAMS = 5
_LENGTHS = {"": (5, 20), "short": (3, 12), "long": (9, 30)}
_ANSWER_LENGTH = (1, 12)


@dataclass(frozen=True)
class Turn:
    """A question about a frame, with its answer, and what it was about."""

    question: str
    answer: str
    label: str


class TextRoute:
    """Fulfils `routes.Route` for what the weights are trained for among captions, answers and matching.

    Attributes:
        alone: see `Answerer`; of the last question.
    """

    def __init__(
        self, model: VisionLLM, blip: Blip, writer: PromptWriter | None, tasks: frozenset[Task], weights_hash: str
    ) -> None:
        self.model, self.blip, self.writer = model, blip.eval(), writer
        self.tasks, self.weights_hash = tasks, weights_hash
        self.matcher = Matcher(model, blip)
        self._frame: tuple[object, ...] = ()
        self._looks: dict[Box, Look] = {}
        self._turns: deque[Turn] = deque(maxlen=_HISTORY)
        self.alone = ""

    def answer(self, view: View, spec: TaskSpec, watch: Stopwatch) -> Perception:
        """See `routes.Route.answer`."""
        self._turn_to(view.frame)
        if spec.task is Task.MATCH:
            return self._match(view, spec, watch)
        if spec.task is Task.CAPTION:
            return self._caption(view, spec, watch)
        return self._reply(view, spec, watch)

    def _turn_to(self, frame: Frame) -> None:
        """Forget the last frame and what was said of it, where this is another one."""
        checksum = zlib.crc32(frame.image_rgb_u8[::8, ::8].tobytes())
        name = (frame.camera, frame.stamp_ns, frame.size_wh_px, checksum)
        if name != self._frame:
            self._frame = name
            self._looks.clear()
            self._turns.clear()

    def _look(self, view: View, region: Box, watch: Stopwatch) -> Look:
        if region not in self._looks:
            pyramid, image = view.pyramid, view.image
            with watch.stage("look"):
                seen = self.blip.to(pyramid[0].device).image.see(pyramid, image.dense)
                self._looks[region] = self.matcher.look_at(seen, region)
        return self._looks[region]

    def _match(self, view: View, spec: TaskSpec, watch: Stopwatch) -> Perception:
        look = self._look(view, spec.region, watch)
        with watch.stage("match"):
            (fit,) = self.matcher.fits([(look, spec.phrase)])
        verdict = "yes" if fit.probability >= self.blip.config.match_threshold else "no"
        text = f"similarity {fit.similarity:.2f}, matching logit {fit.fit_logit:+.2f}"
        return Perception(spec.task, text=text, caption=Caption(verdict, fit.probability, spec.phrase))

    def _caption(self, view: View, spec: TaskSpec, watch: Stopwatch) -> Perception:
        region = spec.region
        if spec.phrase:
            found = view.perceive(TaskSpec(Task.DETECT, (spec.phrase,), region=region, max_objects=1)).detections
            if not found:
                return Perception(spec.task, Status.NOTHING_FOUND, f"no {spec.phrase} is found to describe")
            region = _unit(found[0].box_xyxy_px, view.frame)
        look = self._look(view, region, watch)
        instruction = PROMPTS[spec.caption_length]
        with watch.stage("write"):
            texts = self._write(look, instruction, instruction, region, *_LENGTHS[spec.caption_length])
        with watch.stage("rank"):
            best = self._most_fitting(look, texts)
        if best is None:
            return Perception(spec.task, Status.NOTHING_FOUND, "the model has no words for it")
        return Perception(spec.task, caption=Caption(_sentence(best.text), best.score))

    def _write(
        self, look: Look, instruction: str, asked: str, region: Box, shortest: int, longest: int
    ) -> list[Written]:
        """Texts by beam search; the queries read `instruction`, the language model `asked`."""
        assert self.writer is not None
        prompt = self._prompt(look, instruction, region)
        return self.writer.write(self.model.llm, prompt, self._ids(asked), _BEAMS, shortest, longest)

    def _prompt(self, look: Look, instruction: str, region: Box) -> Prompt:
        assert self.writer is not None
        read = tokenize(self.model.text_encoder, [instruction])
        return self.blip.prompt(self.writer.to(look.keys.device), look.seen, read, region)

    def _ids(self, text: str) -> Tensor:
        ids = self.model.llm.tokenizer(text, add_special_tokens=False)["input_ids"]
        return torch.tensor(ids, dtype=torch.long, device=self.model.device)

    def _most_fitting(self, look: Look, texts: list[Written]) -> Written | None:
        """What is both likely as language and close to the picture."""
        texts = [each for each in texts if each.text]
        if not texts:
            return None
        cosines = self.matcher.similarities([look], [each.text for each in texts])[0]
        likely = torch.tensor([each.score for each in texts], device=cosines.device).clamp(min=1e-9).log()
        return texts[int((likely + self.blip.config.caption_match * cosines).argmax())]

    def _reply(self, view: View, spec: TaskSpec, watch: Stopwatch) -> Perception:
        assert self.writer is not None
        asked = understand(spec.phrase, next((turn.label for turn in reversed(self._turns) if turn.label), ""))
        look = self._look(view, spec.region, watch)
        self.alone = ""
        if asked.kind is Kind.OPEN:
            with watch.stage("write"):
                answer = self._open(look, asked, spec.region)
        else:
            with watch.stage("rank"):
                prompt = self._prompt(look, asked.text, spec.region)
                answerer = Answerer(self.model.llm, self.writer, self.blip.config)
                answer = answerer.choose(view, spec, asked, prompt, self._evidence(look, asked.label))
                self.alone = answerer.alone
        self._turns.append(Turn(asked.text, answer.text, asked.label))
        return Perception(spec.task, text=answer.note, caption=Caption(answer.text, answer.score, spec.phrase))

    def _evidence(self, look: Look, label: str) -> float:
        """The highest logit with which a proposal within the region shows the thing."""
        logits = self.model.tokenizer.scorer(look.seen.semantics, self.model.text_encoder((label,)))[..., 0]
        there = look.visible[:, -logits.shape[1] :]
        return float(logits.masked_fill(~there, _NO_EVIDENCE).max())

    def _open(self, look: Look, asked: Asked, region: Box) -> Answer:
        """A free answer, after the earlier questions about this frame; "not sure" where it is unlikely."""
        before = "".join(f"{QUESTION.format(turn.question)} {turn.answer}\n" for turn in self._turns)
        texts = self._write(look, asked.text, before + QUESTION.format(asked.text), region, *_ANSWER_LENGTH)
        if not texts or not texts[0].text or texts[0].score < self.blip.config.answer_threshold:
            said = f"the best guess is {texts[0].text!r}" if texts else "the model has no words for it"
            return Answer("not sure", texts[0].score if texts else 0.0, said)
        return Answer(texts[0].text, texts[0].score)


def load_route(folder: Path, model: VisionLLM, runtime: RuntimeConfig) -> TextRoute:
    """The route with its trained weights.

    Raises:
        WeightsError: files are missing, damaged or of another shape.
    """
    manifest = weights.read_manifest(folder, QFormerConfig)
    tasks = frozenset(map(Task, manifest.trained))
    blip = Blip(manifest.config, model)
    fill(blip, folder)
    writer = None
    if tasks - {Task.MATCH}:
        writer = PromptWriter(model.llm, manifest.config.llm_layers, manifest.config.tags)
        stored = weights.load(folder, ["speaker"])
        device = choose_device(runtime.device)
        writer.halves = can_halve(choose_dtype(runtime.dtype, device), device)
        weights.fill({f"speaker.{key}": value for key, value in writer.state_dict().items()}, stored, str(folder))
    return TextRoute(model, blip, writer, tasks, manifest.short_hash)


def _unit(box_xyxy_px: Box, frame: Frame) -> Box:
    """A box in fractions of the frame, never empty."""
    width, height = frame.size_wh_px
    x_min, y_min, x_max, y_max = box_xyxy_px
    region = (max(x_min / width, 0.0), max(y_min / height, 0.0), min(x_max / width, 1.0), min(y_max / height, 1.0))
    return region if region[0] < region[2] and region[1] < region[3] else WHOLE_IMAGE


def _sentence(text: str) -> str:
    """A caption is learnt in lower case behind its instruction."""
    return text[0].upper() + text[1:]
