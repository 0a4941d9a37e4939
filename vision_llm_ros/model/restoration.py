"""LM4LV: an untouched language model restores pictures, through one linear layer in, one out, and a few task tokens.

A tile's visual tokens stand in a chat as words do:

    BOS ### Human: <Img> v1..vN </Img> t1..t10 \\n### Assistant: <Img> r1..rN </Img>\\n###

`v` are the damaged tile's features, `t` the task tokens, `r` the restored ones; `<Img>` is plain text. Each r is read
off the hidden state before it and fed back as the next input, as a word would be.

The authors train a set for every task. Here tasks share the layer in, and each has a layer out of its own.

`RestoreConfig.aligned` departs further: the input that r is read off also holds the damaged token of the same place,
and a linear map of that token, one a task, is added to what is read; its diagonal follows the strength of the damage.
So the language model needs not learn to find and copy a token, and the start is the best linear map; it learns what a
linear map cannot know.

Source: LM4LV, section "Method".
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from vision_llm_ros.config import RestoreConfig
from vision_llm_ros.errors import ConfigError
from vision_llm_ros.model.llm import LanguageModel
from vision_llm_ros.model.task_linear import StrengthLinear, TaskLinear

TASKS = ("denoise", "deblur", "pepper", "derain", "mask", "rotate", "flip", "repeat")
OPENING, MIDDLE, ANSWER, CLOSING = "### Human: <Img>", "</Img>", "\n### Assistant:", "</Img>\n###"
ANSWER_OPENS = " <Img>"
_PLACE_SCALE = 0.5


@dataclass(frozen=True)
class Answer:
    """What the language model says of a batch of tiles.

    Attributes:
        features: float[B, N, D], the restored visual tokens.
        states: float[B, N, W], the hidden states they were read off.
        text_loss: cross-entropy of the answer's plain text, a scalar; 0 where none was asked for.
    """

    features: Tensor
    states: Tensor
    text_loss: Tensor


class LanguageRestorer(nn.Module):
    """All that is learnt of the language branch: a linear layer in, one out a task, and the task tokens.

    Attributes:
        known: the tasks it knows; what is asked for by number is a place in it.
    """

    def __init__(self, config: RestoreConfig, llm_width: int) -> None:
        super().__init__()
        self.depth, self.num_tokens = config.llm_layers, config.num_tokens
        self.places = config.visual == "nano"  # whose last channels are the token's place
        self.known = chosen_tasks(config.tasks)
        self.into, self.out = nn.Linear(config.width, llm_width), TaskLinear(len(self.known), llm_width, config.width)
        self.tasks = nn.Parameter(torch.zeros(len(self.known), config.task_tokens, llm_width))
        self.beside = nn.Linear(config.width, llm_width, bias=False) if config.aligned else None
        self.skip = StrengthLinear(len(self.known), config.width) if config.aligned else None

    def place(self, task: str) -> int:
        """The task's place in `known`.

        Raises:
            ConfigError: the branch does not know it.
        """
        if task not in self.known:
            raise ConfigError(f"The language branch knows {', '.join(self.known)}; it has not learnt {task!r}")
        return self.known.index(task)

    @torch.no_grad()
    def start_from(self, features: Tensor, words: Tensor) -> None:
        """Begin near an identity that the language model can copy: content along random axes, each place a word.

        Args:
            features: float[M, D] of clean tiles, which give the scale.
            words: float[N, W], embeddings of N plain words; the place of token n looks like word n.
        """
        content = self.into.in_features - (self.num_tokens if self.places else 0)
        axes = torch.linalg.qr(torch.randn(self.into.out_features, content, device=words.device))[0]
        scale = features[:, :content].square().sum(1).mean().rsqrt()
        self.into.weight[:, :content] = axes * scale
        if self.places:
            self.into.weight[:, content:] = words.T * _PLACE_SCALE
        self.into.bias.zero_()
        self.out.weight.zero_()
        self.out.bias.zero_()
        if self.beside is None or self.skip is None:
            self.out.weight[..., :content] = axes / scale
            return
        self.beside.weight.zero_()
        self.beside.weight[:, :content] = torch.linalg.qr(torch.randn_like(axes))[0] * scale
        self.skip.reset()

    def forward(
        self,
        llm: LanguageModel,
        damaged: Tensor,
        tasks: Tensor,
        given: Tensor,
        strengths: Tensor | None = None,
        texts: int | None = None,
    ) -> Answer:
        """One pass over the whole chat, given tokens standing where the restored ones would (teacher forcing).

        Args:
            damaged, given: float[B, N, D].
            tasks: int[B], places in `known`.
            strengths: float[B], 0..1, of the damage; None means the weakest.
            texts: how many of the batch the loss of the answer's plain text is reckoned for, None means all; it is
                the same text for every tile, and a large vocabulary makes it dear.
        """
        opens, closes = self._ids(llm, ANSWER_OPENS), self._ids(llm, CLOSING)
        head = self._question(llm, damaged, tasks)
        said = self._place(torch.cat([self._words(llm, opens, damaged), self.into(given)], 1), damaged, len(opens) - 1)
        with llm.using(None, self.depth):
            states, _ = llm.run(*causal(torch.cat([head, said, self._words(llm, closes[:-1], damaged)], 1)))
        start = head.shape[1] - 1  # the state before the answer's first word
        first = start + len(opens)
        seen = states[:, first : first + self.num_tokens]
        read, texts = self._read(seen, damaged, tasks, strengths), len(damaged) if texts is None else texts
        if not texts:
            return Answer(read, seen, seen.new_zeros(()))
        after = states[:texts, first + self.num_tokens :]
        logits = llm.text_logits(torch.cat([states[:texts, start:first], after], 1)).flatten(0, 1)
        wanted = torch.cat([opens, closes]).repeat(len(after))
        return Answer(read, seen, functional.cross_entropy(logits, wanted))

    def at_once(self, llm: LanguageModel, damaged: Tensor, tasks: Tensor, strengths: Tensor | None = None) -> Answer:
        """All tokens in one pass, each read off its own place: no causal mask, no positions (the paper's "ViT-LLM").

        Args:
            damaged: float[B, N, D].
            tasks: int[B], places in `known`.
            strengths: float[B], see `forward`.
        """
        embeds = self._question(llm, damaged, tasks)
        batch, length = embeds.shape[:2]
        places = torch.zeros(batch, length, dtype=torch.long, device=embeds.device)
        attend = torch.ones(batch, length, length, dtype=torch.bool, device=embeds.device)
        first = len(self._opening(llm))
        with llm.using(None, self.depth):
            states, _ = llm.run(embeds, places, attend)
        seen = states[:, first : first + self.num_tokens]
        return Answer(self._read(seen, damaged, tasks, strengths), seen, seen.new_zeros(()))

    @torch.no_grad()
    def generate(
        self,
        llm: LanguageModel,
        damaged: Tensor,
        tasks: Tensor,
        strengths: Tensor | None = None,
        cached: bool = True,
    ) -> Tensor:
        """Restore token after token.

        Args:
            damaged: float[B, N, D].
            tasks: int[B], places in `known`.
            strengths: float[B], see `forward`.
            cached: keep keys and values; without, the whole chat is read again for every token (the reference).
        Returns:
            float[B, N, D].
        """
        opens = self._words(llm, self._ids(llm, ANSWER_OPENS), damaged)
        chat = torch.cat([self._question(llm, damaged, tasks), opens[:, :-1]], 1)
        cache, restored = llm.cache([], len(damaged)), []
        unread, last = chat, opens[:, -1:]
        with llm.using(None, self.depth):
            for place in range(self.num_tokens):
                here = damaged[:, place : place + 1]
                last = self._place(last, here)
                chat, unread = torch.cat([chat, last], 1), torch.cat([unread, last], 1)
                if cached:
                    state = llm.advance(*causal(unread, chat.shape[1] - unread.shape[1]), cache)[:, -1:]
                else:
                    state = llm.run(*causal(chat))[0][:, -1:]
                restored.append(self._read(state, here, tasks, strengths))
                last, unread = self.into(restored[-1]), chat[:, :0]
        return torch.cat(restored, 1)

    def _place(self, inputs: Tensor, damaged: Tensor, start: int = 0) -> Tensor:
        """Inputs float[B, T, W] with the damaged tokens float[B, N, D] added from place `start` on, if aligned."""
        if self.beside is None:
            return inputs
        return inputs + functional.pad(self.beside(damaged), (0, 0, start, inputs.shape[1] - start - damaged.shape[1]))

    def _read(self, states: Tensor, damaged: Tensor, tasks: Tensor, strengths: Tensor | None) -> Tensor:
        """Restored tokens float[B, N, D] off hidden states float[B, N, W]."""
        read: Tensor = self.out(states, tasks)
        if self.skip is None:
            return read
        strengths = damaged.new_zeros(len(damaged)) if strengths is None else strengths
        return read + self.skip(damaged, tasks, strengths)  # type: ignore[no-any-return]

    def _question(self, llm: LanguageModel, damaged: Tensor, tasks: Tensor) -> Tensor:
        """float[B, T, W]: the chat up to the answer."""
        opening = self._opening(llm)
        middle, answer = self._ids(llm, MIDDLE), self._ids(llm, ANSWER)
        parts = [self._words(llm, opening, damaged), self.into(damaged), self._words(llm, middle, damaged)]
        return torch.cat([*parts, self.tasks[tasks], self._words(llm, answer, damaged)], 1)

    def _opening(self, llm: LanguageModel) -> Tensor:
        """int[T]: what stands before the damaged tokens."""
        start, opening = llm.tokenizer.bos_token_id, self._ids(llm, OPENING)
        return opening if start is None else torch.cat([opening.new_tensor([start]), opening])

    def _ids(self, llm: LanguageModel, text: str) -> Tensor:
        ids = llm.tokenizer(text, add_special_tokens=False)["input_ids"]
        return torch.tensor(ids, device=self.tasks.device)

    def _words(self, llm: LanguageModel, ids: Tensor, batch: Tensor) -> Tensor:
        return llm.embed_text(ids).to(batch.dtype).expand(len(batch), -1, -1)


def chosen_tasks(names: str) -> tuple[str, ...]:
    """Tasks named with commas; all of them for "".

    Raises:
        ConfigError: one is unknown.
    """
    chosen = tuple(name.strip() for name in names.split(",") if name.strip()) or TASKS
    for name in chosen:
        if name not in TASKS:
            raise ConfigError(f"tasks: expected some of {', '.join(TASKS)}, got {name!r}")
    return chosen


def causal(embeds: Tensor, past: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """The arguments of `LanguageModel.run` for float[B, T, W] after `past` earlier tokens: each sees what is before."""
    batch, length = embeds.shape[:2]
    places = torch.arange(past, past + length, device=embeds.device)
    attend = torch.arange(past + length, device=embeds.device) <= places[:, None]
    return embeds, places.expand(batch, -1), attend.expand(batch, -1, -1)


def place_words(llm: LanguageModel, number: int, seed: int = 0) -> Tensor:
    """Embeddings float[number, W] of random plain words of the vocabulary."""
    size = llm.base.embed_tokens.num_embeddings
    chosen = torch.randperm(size - size // 50, generator=torch.Generator().manual_seed(seed))[:number] + size // 50
    return llm.embed_text(chosen.to(llm.base.embed_tokens.weight.device)).float()
