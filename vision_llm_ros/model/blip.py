"""Picture and sentence compared and told (BLIP-2, section 3.2): the heads around the Q-Former.

ITC compares a picture with a sentence by vectors that are made apart; ITM (`pair.py`) reads both together; ITG writes
the sentence while it sees the picture. The text side of ITC is the frozen text encoder's own sentence vector.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from vision_llm_ros.config import QFormerConfig
from vision_llm_ros.interfaces import WHOLE_IMAGE, Box
from vision_llm_ros.model import weights
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.model.evidence import Annotator, evidence
from vision_llm_ros.model.pair import PairHead
from vision_llm_ros.model.prompt_writer import Prompt, PromptWriter
from vision_llm_ros.model.proposals import NUM_CONCEPTS
from vision_llm_ros.model.qformer import Mode, QFormer, Tokens
from vision_llm_ros.model.qformer_image import ImageInput, Seen

PART = "qformer"
_FIRST_TEMPERATURE = 0.07
_COUNTED = 0.3
_NOWHERE = -20.0


class Writer(nn.Module):
    """Hidden states of written text to words: BERT's head, its output rows shared with the word embeddings."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.zeros(width))
        self.transform = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width))

    def forward(self, states: Tensor, rows: Tensor) -> Tensor:
        """Logits float[..., V] of float[..., D] over the words whose embeddings are float[V, D]."""
        return self.transform(states) @ rows.T  # type: ignore[no-any-return]


class Scene(nn.Module):
    """A picture at a glance: pooled features to the sentence space of ITC, and to words. Fitted in closed form.

    The published image encoder was pretrained with sentences, ours with boxes: so a linear map that a few thousand
    captions determine comes first, and the queries add to it.
    """

    def __init__(self, config: QFormerConfig) -> None:
        super().__init__()
        inputs = 2 * config.image_width + 3 * NUM_CONCEPTS
        self.vector = nn.Linear(inputs, config.match_width)
        self.tags = nn.Linear(config.match_width, len(config.tags))

    def forward(self, seen: Seen, visible: Tensor) -> Tensor:
        """float[B, M], what a caption's vector in the space of ITC is expected to be.

        Args:
            visible: bool[B, N] of the cells, then the proposals, that count.
        """
        return self.vector(summary(seen, visible))  # type: ignore[no-any-return]


def summary(seen: Seen, visible: Tensor) -> Tensor:
    """float[B, 2 C + 3 * 80]: mean and maximum of the cells; surest, number and largest share of each concept."""
    cells = seen.cells.flatten(1, 2)
    here, there = visible[:, : cells.shape[1], None], visible[:, cells.shape[1] :, None]
    mean = (cells * here).sum(1) / here.sum(1)
    highest = cells.masked_fill(~here, -torch.inf).amax(1)
    chances = seen.semantics.sigmoid() * there
    number = (chances * (chances > _COUNTED)).sum(1).clamp(max=6).sqrt()
    share = (chances * seen.boxes_cxcywh[..., 2:].prod(-1, keepdim=True).clamp(0, 1)).amax(1)
    return torch.cat([mean, highest, chances.amax(1), number, share], 1)


@dataclass(frozen=True)
class Look:
    """Pictures as matching sees them: their features, and ITC's vectors float[B, Q, M]."""

    seen: Seen
    keys: Tensor
    visible: Tensor
    vectors: Tensor

    def __getitem__(self, rows: Tensor) -> Look:
        return Look(self.seen[rows], self.keys[rows], self.visible[rows], self.vectors[rows])


class Matcher(nn.Module):
    """The head of ITC; the queries at first add nothing to the scene's vector."""

    def __init__(self, width: int, match_width: int) -> None:
        super().__init__()
        self.image_vector = nn.Linear(width, match_width)
        self.text_vector = nn.Linear(width, match_width)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(_FIRST_TEMPERATURE)))
        nn.init.zeros_(self.image_vector.weight)
        nn.init.zeros_(self.image_vector.bias)


class Teller(nn.Module):
    """The soft prompt: queries of its own, what words of the instruction carry, and states to the LLM's tokens."""

    def __init__(self, queries: Tensor, llm_width: int, embedding_std: float) -> None:
        super().__init__()
        self.queries = nn.Parameter(queries.detach().clone())
        self.told = Annotator(queries.shape[1])
        self.project = nn.Linear(queries.shape[1], llm_width)
        nn.init.normal_(self.project.weight, std=embedding_std / math.sqrt(queries.shape[1]))
        nn.init.zeros_(self.project.bias)


class Blip(nn.Module):
    """Everything that learns for captions, answers and matching.

    Attributes:
        image: what is looked at; its reduction is fitted once, then frozen.
        scene: the picture at a glance.
        qformer: the queries.
        matcher: the head of ITC.
        pair: the head of ITM.
        writer: the head of ITG, for training.
        teller: the soft prompt; its queries start as stage 1's, which stay as they are.
    """

    def __init__(self, config: QFormerConfig, model: VisionLLM) -> None:
        """Build it around the shared pyramid, text encoder and language model of `model`."""
        super().__init__()
        self.config = config
        self.image = ImageInput(config, model.backbone.channels)
        self.scene = Scene(config)
        self.qformer = QFormer(config, model.text_encoder)
        width = self.qformer.width
        self.matcher = Matcher(width, config.match_width)
        self.pair = PairHead(config, model.text_encoder)
        self.writer = Writer(width)
        embedding_std = float(model.llm.base.embed_tokens.weight.float().std())
        self.teller = Teller(self.qformer.queries, model.llm.width, embedding_std)
        self._shared = (model.tokenizer.scorer,)  # in a tuple: it is the detector's

    def look(self, seen: Seen, region: Box = WHOLE_IMAGE) -> Look:
        """Pictures, or a region of them, as matching sees them."""
        keys, visible = self.image(seen, region)
        return Look(seen, keys, visible, self.image_vectors(keys, visible, self.scene(seen, visible)))

    def image_vectors(self, keys: Tensor, visible: Tensor, scene: Tensor) -> Tensor:
        """ITC's view of pictures: float[B, Q, M], unit length; the scene's float[B, M] and what each query adds."""
        queries, _ = self.qformer(keys, visible)
        return functional.normalize(scene.unsqueeze(1) + self.matcher.image_vector(queries), dim=-1)

    def text_vectors(self, sentence_vectors: Tensor) -> Tensor:
        """ITC's view of sentences: float[T, M] of the text encoder's float[T, D], unit length."""
        return functional.normalize(self.matcher.text_vector(sentence_vectors), dim=-1)

    def fit_logits(self, look: Look, text: Tokens, sentences: Tensor) -> Tensor:
        """ITM: float[B, 2], [does not fit, fits], the mean over the queries and what ITC knows.

        Args:
            sentences: float[B, M], ITC's view of the same text.
        """
        told = self.pair.told(self.evidence(look.seen, look.visible, text))
        asking = self.pair.queries
        queries, _ = self.qformer(look.keys, look.visible, text, Mode.BIDIRECTIONAL, queries=asking, told=told)
        return self.pair(queries, self.pair.start(look.vectors, sentences))  # type: ignore[no-any-return]

    def evidence(self, seen: Seen, visible: Tensor, text: Tokens) -> Tensor:
        """What pictures show of each word: float[B, L, `NUM_VALUES`]."""
        return evidence(self._shared[0], seen, visible, text.vectors)

    def written(self, keys: Tensor, visible: Tensor, text: Tokens) -> Tensor:
        """ITG: hidden states float[B, L, D], each of which is to tell the next token."""
        _, states = self.qformer(keys, visible, text, Mode.CAUSAL, self.writer.start)
        assert states is not None
        return states  # type: ignore[no-any-return]

    def soft_prompt(self, seen: Seen, keys: Tensor, visible: Tensor, instruction: Tokens | None = None) -> Tensor:
        """Tokens float[B, Q, D_llm] to put before the language model's text.

        Args:
            instruction: read by the queries too where the configuration has `text_input`.
        """
        return self.teller.project(self.query_states(seen, keys, visible, instruction))  # type: ignore[no-any-return]

    def query_states(self, seen: Seen, keys: Tensor, visible: Tensor, instruction: Tokens | None = None) -> Tensor:
        """Last states float[B, Q, D] of the soft prompt's queries; arguments as of `soft_prompt`."""
        text = instruction if self.config.text_input else None
        told = self.teller.told(self.evidence(seen, visible, text)) if text is not None else None
        queries, _ = self.qformer(keys, visible, text, Mode.BIDIRECTIONAL, queries=self.teller.queries, told=told)
        return queries  # type: ignore[no-any-return]

    def prompt(self, writer: PromptWriter, seen: Seen, instruction: Tokens, region: Box = WHOLE_IMAGE) -> Prompt:
        """What the language model reads of pictures, or of a region of them."""
        keys, visible = self.image(seen, region)
        soft = self.soft_prompt(seen, keys, visible, instruction)
        there = visible[:, -seen.semantics.shape[1] :].unsqueeze(-1)
        seen = replace(seen, semantics=seen.semantics.masked_fill(~there, _NOWHERE))
        return writer.prompt(soft, seen, self.scene.tags(self.scene(seen, visible)))


def together(looks: Sequence[Look]) -> Look:
    """Several looks as one batch."""
    seen = Seen(*(torch.cat([getattr(look.seen, name) for look in looks]) for name in Seen.__dataclass_fields__))
    rest = (torch.cat([getattr(look, name) for look in looks]) for name in ("keys", "visible", "vectors"))
    return Look(seen, *rest)


def similarity(image_vectors: Tensor, text_vectors: Tensor) -> Tensor:
    """ITC: cosine of the query that fits best, float[B, T] of float[B, Q, M] and float[T, M]."""
    return torch.einsum("bqm,tm->btq", image_vectors, text_vectors).amax(-1)


def fill(blip: Blip, folder: Path) -> None:
    """Load stored weights; the head of ITG, which only learning needs, is not among them.

    Raises:
        WeightsError: files are missing, damaged or of another shape.
    """
    own = {key: value for key, value in blip.state_dict().items() if not key.startswith("writer.")}
    weights.fill(own, weights.load(folder, sorted({key.partition(".")[0] for key in own})), str(folder))
