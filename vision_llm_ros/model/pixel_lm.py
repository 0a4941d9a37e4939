"""Any number of referring masks from one language model (PixelLM): "the mug is [SEG..] and the spoons are [SEG..]".

Example with two phrases and two image tokens. The language model reads

    [v0 v1] [mug is:] v0 v1 [spoons are:] v0 v1        then, where [SEG0] is said,  [SEG0][SEG1]..[SEG4]
     image   phrase 0  next?  phrase 1     next?

At every `next?` the answer's grammar allows two tokens: [SEG0], the candidate is a target of this phrase and its six
seg tokens follow, or [end]. The hidden states of the six positions that predict [SEG0] .. [SEG5] make the mask. All
decisions are taken at once, as the VisionLLM route decodes its sets: a position sees the image, its own phrase and
itself, so that no answer depends on what else is asked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vision_llm_ros.config import MaskConfig
from vision_llm_ros.language.phrases import ASKS, Phrase
from vision_llm_ros.language.vocabulary import SEG_TOKENS
from vision_llm_ros.language.words import COCO_CLASSES
from vision_llm_ros.model.candidates import (
    ABSENT,
    EVIDENCE,
    Candidates,
    Evidence,
    PhraseText,
    pool_regions,
    read_phrases,
)
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.model.knowledge import Knowledge
from vision_llm_ros.model.llm import LanguageModel
from vision_llm_ros.model.pixel_decoder import NUM_SCALES, TOKENS_PER_SCALE, MaskLogits, PixelDecoder
from vision_llm_ros.model.proposals import NUM_CONCEPTS, SEMANTIC_SCALE, DenseFeatures, PhraseScorer
from vision_llm_ros.model.tokenizer import sine_embedding

ADAPTER = "mask"
_TARGETS = ("q_proj", "v_proj")
_PRIOR_WIDTH = 48
_STRIDES = (8, 16, 32)
_IMAGE, _NO_SET = -1, -1


@dataclass(frozen=True)
class Question:
    """The phrases of one sentence, ready for the model: what depends on words alone.

    Attributes:
        phrases: as parted.
        text: their text embeddings.
        pieces: per phrase its token embeddings float[t, D].
    """

    phrases: tuple[Phrase, ...]
    text: PhraseText
    pieces: list[Tensor]


@dataclass(frozen=True)
class Layout:
    """Which token is what, int[T] each: decides who sees whom.

    Attributes:
        phrase: number of the phrase, -1 for image tokens.
        sets: number of the decision that the token belongs to, -1 for image and text.
        order: rotary position.
    """

    phrase: Tensor
    sets: Tensor
    order: Tensor

    def __add__(self, other: Layout) -> Layout:
        pairs = ((self.phrase, other.phrase), (self.sets, other.sets), (self.order, other.order))
        return Layout(*(torch.cat(pair) for pair in pairs))

    def attend(self, earlier: Layout) -> Tensor:
        """bool[1, T, S]: may a token (row) look at one of `earlier` (column)?"""
        keys, behind = earlier, self.order[:, None] >= earlier.order[None]
        image = (keys.phrase == _IMAGE)[None]
        text = (self.phrase[:, None] == keys.phrase[None]) & (keys.sets == _NO_SET)[None] & behind
        own = (self.sets[:, None] == keys.sets[None]) & (keys.sets != _NO_SET)[None] & behind
        return (image | text | own).unsqueeze(0)


@dataclass(frozen=True)
class Decisions:
    """The answer's grammar at every `next?`.

    Attributes:
        candidates: of the picture.
        logits: float[P, M], of [SEG0] against [end].
        states: float[P, M, D], hidden states there; they predict [SEG0].
        layout, past: of the tokens read so far, for the seg tokens that follow.
    """

    candidates: Candidates
    logits: Tensor
    states: Tensor
    layout: Layout
    past: list[tuple[Tensor, Tensor]]


class PixelLM(nn.Module):
    """Everything that learns for referring masks around the frozen pyramid, text encoder and language model."""

    def __init__(self, config: MaskConfig, shared: VisionLLM) -> None:
        """Build it beside a VisionLLM, whose language model gets the adapter "mask"."""
        super().__init__()
        self.config = config
        llm, channels = shared.llm, shared.backbone.channels
        self.deep, self.fine = (_STRIDES.index(int(stride)) for stride in config.scales.split("/"))
        self.spread = float(llm.base.embed_tokens.weight.float().std())
        width, inputs = llm.width, channels[self.deep] + NUM_CONCEPTS + 5 * 16
        self.region_norm = nn.LayerNorm(channels[self.deep])
        self.to_llm = self._into_llm(inputs, width)
        self.from_concepts = nn.Linear(NUM_CONCEPTS, width, bias=False)
        self.from_evidence = self._into_llm(EVIDENCE, width)
        self.rows = nn.Parameter(torch.randn(SEG_TOKENS + 1, width) * self.spread)  # [SEG0] .. [SEG5], [end]
        self.rows.data[-1] = self.rows.data[0]  # until it learns, the language model has no say
        text_width = shared.text_encoder.width + len(ASKS)
        self.evidence = Evidence(shared.text_encoder.width)
        self.knowledge = Knowledge()
        self.prior_text = nn.Linear(text_width, _PRIOR_WIDTH)
        self.stress = nn.Linear(text_width, EVIDENCE)  # which evidence a phrase asks for
        last = nn.Linear(2 * _PRIOR_WIDTH, 1)
        self.prior = nn.Sequential(nn.Linear(EVIDENCE + _PRIOR_WIDTH, 2 * _PRIOR_WIDTH), nn.GELU(), last)
        self.head_norm = nn.LayerNorm(width)
        self.seg_mlp = nn.Sequential(
            nn.Linear(width, 2 * config.width), nn.ReLU(), nn.Linear(2 * config.width, config.width)
        )
        self.decoder = PixelDecoder(config, (channels[self.deep], channels[self.fine]))
        nn.init.zeros_(self.stress.weight)
        nn.init.zeros_(self.stress.bias)
        nn.init.zeros_(last.weight)
        nn.init.constant_(last.bias, -1.0)
        if llm.num_layers < config.llm_layers:
            llm.deepen(config.llm_layers)
        llm.add_adapter(ADAPTER, config.lora_rank, config.lora_alpha, config.lora_dropout, config.llm_layers, _TARGETS)

    def _into_llm(self, inputs: int, width: int) -> nn.Linear:
        layer = nn.Linear(inputs, width)
        nn.init.normal_(layer.weight, std=self.spread / math.sqrt(inputs))
        nn.init.zeros_(layer.bias)
        return layer

    @torch.no_grad()
    def start(self, llm: LanguageModel, scorer: PhraseScorer) -> None:
        """Begin with what the shared parts know: concepts are the language model's own words for them."""
        names = [
            torch.tensor(llm.tokenizer(f" {name}", add_special_tokens=False)["input_ids"]) for name in COCO_CLASSES
        ]
        words = torch.stack([llm.embed_text(ids.to(self.rows.device)).float().mean(0) for ids in names])
        self.from_concepts.weight.copy_(words.T)
        self.evidence.to_concepts.weight.copy_(scorer.to_concepts.weight)

    def read(self, shared: VisionLLM, phrases: tuple[Phrase, ...]) -> Question:
        """Picture-free part of the work, once per sentence."""
        pieces = [self._embed(shared.llm, f" {p.text} {'is' if p.most == 1 else 'are'}") for p in phrases]
        return Question(phrases, read_phrases(shared.text_encoder, phrases), pieces)

    def _embed(self, llm: LanguageModel, text: str) -> Tensor:
        ids = llm.tokenizer(text, add_special_tokens=False)["input_ids"]
        return llm.embed_text(torch.tensor(ids, device=self.rows.device))

    def image_tokens(self, pyramid: list[Tensor], candidates: Candidates) -> Tensor:
        """Candidates in the language model's space: float[M, D] from what they are, look like and where they lie."""
        boxes = candidates.boxes_cxcywh
        regions = self.region_norm(pool_regions(pyramid[self.deep], boxes))
        area = boxes[:, 2:].clamp(min=1e-4).prod(-1, keepdim=True).sqrt()
        looks = (candidates.semantics * SEMANTIC_SCALE).clamp(-2, 2)
        place = sine_embedding(torch.cat([boxes, area], -1), 16)
        concepts = self.from_concepts(candidates.semantics.softmax(-1))
        return self.to_llm(torch.cat([regions, looks, place], -1)) + concepts  # type: ignore[no-any-return]

    def weigh(self, candidates: Candidates, question: Question) -> tuple[Tensor, Tensor]:
        """What can be said without the language model.

        Returns:
            evidence float[P, M, EVIDENCE] and the logits float[P, M] of a target that it gives alone.
        """
        evidence = self.evidence(candidates, question.text)
        words = self.prior_text(question.text.words).unsqueeze(1).expand(-1, evidence.shape[1], -1)
        weighed = (evidence * self.stress(question.text.words).unsqueeze(1)).sum(-1)
        return evidence, weighed + self.prior(torch.cat([evidence, words], -1)).squeeze(-1) + evidence[..., 0] * ABSENT

    def decide(self, shared: VisionLLM, pyramid: list[Tensor], dense: DenseFeatures, question: Question) -> Decisions:
        """Which candidates of a picture (batch 1) are targets of which phrase."""
        candidates = self.evidence.propose(dense, question.text, self.config.candidates)
        evidence, weighed = self.weigh(candidates, question)
        images = self.image_tokens(pyramid, candidates)
        parts, layout = [images], _image_layout(len(images), images.device)
        for number, piece in enumerate(question.pieces):
            parts += [piece, images + self.from_evidence(evidence[number])]
            layout = layout + _phrase_layout(number, len(images), len(piece), images.device)
        with shared.llm.using(ADAPTER):
            states, past = shared.llm.run(torch.cat(parts).unsqueeze(0), layout.order[None], layout.attend(layout))
        asked = self.head_norm(states[0, layout.sets >= 0]).view(*weighed.shape, -1)
        said = asked @ (self.rows[0] - self.rows[-1]) / math.sqrt(asked.shape[-1]) / self.spread
        return Decisions(candidates, weighed + said, asked, layout, past)

    def describe(self, shared: VisionLLM, decisions: Decisions, chosen: Tensor) -> Tensor:
        """Seg tokens of chosen targets.

        Args:
            chosen: int[K, 2], phrase and candidate.
        Returns:
            float[K, L, N, width], always all six of a target.
        """
        count, images = len(chosen), decisions.states.shape[1]
        sets = chosen[:, 0] * images + chosen[:, 1]
        first = decisions.layout.order[decisions.layout.sets >= 0][sets]
        steps = torch.arange(1, SEG_TOKENS, device=chosen.device)
        layout = Layout(
            chosen[:, 0].repeat_interleave(len(steps)),
            torch.arange(count, device=chosen.device).repeat_interleave(len(steps)),
            (first[:, None] + steps).flatten(),
        )
        attend = torch.cat(
            [_from_past(layout, decisions.layout, sets.repeat_interleave(len(steps))), layout.attend(layout)], -1
        )
        embeds = self.rows[: SEG_TOKENS - 1].repeat(count, 1).unsqueeze(0)
        with shared.llm.using(ADAPTER):
            states, _ = shared.llm.run(embeds, layout.order.unsqueeze(0), attend, decisions.past)
        later = self.head_norm(states[0]).view(count, SEG_TOKENS - 1, -1)
        all_six = torch.cat([decisions.states[chosen[:, 0], chosen[:, 1]].unsqueeze(1), later], 1)
        return self.seg_mlp(all_six).view(count, NUM_SCALES, TOKENS_PER_SCALE, -1)  # type: ignore[no-any-return]

    def draw(self, pyramid: list[Tensor], segs: Tensor, boxes_cxcywh: Tensor) -> MaskLogits:
        """Masks of targets from their seg tokens float[K, L, N, width] and their candidates' boxes float[K, 4]."""
        projected = self.decoder.project([pyramid[self.deep], pyramid[self.fine]])
        return self.decoder(projected, segs, boxes_cxcywh)  # type: ignore[no-any-return]

    def learned(self, llm: LanguageModel) -> dict[str, Tensor]:
        """Every tensor that is stored: network.* and adapter.*."""
        own = {f"network.{key}": value for key, value in self.state_dict().items()}
        return own | {f"adapter.{key}": value for key, value in llm.adapter_state(ADAPTER).items()}


def _image_layout(count: int, device: torch.device) -> Layout:
    none = torch.full((count,), _NO_SET, device=device)
    return Layout(torch.full((count,), _IMAGE, device=device), none, torch.arange(count, device=device))


def _phrase_layout(number: int, images: int, words: int, device: torch.device) -> Layout:
    """A phrase's words, then one decision per candidate, all at the position behind the words."""
    phrase = torch.full((words + images,), number, device=device)
    sets = torch.cat([torch.full((words,), _NO_SET), number * images + torch.arange(images)]).to(device)
    order = images + torch.cat([torch.arange(words), torch.full((images,), words)]).to(device)
    return Layout(phrase, sets, order)


def _from_past(layout: Layout, past: Layout, owners: Tensor) -> Tensor:
    """As `Layout.attend`; `owners` int[T] are the decisions, numbered as in `past`, that the tokens follow."""
    return Layout(layout.phrase, owners, layout.order).attend(past)
