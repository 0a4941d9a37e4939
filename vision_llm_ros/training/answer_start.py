"""Where instruction tuning starts: answers that the language model can read, and queries that say them.

What states of queries mean, a frozen language model of 135 M parameters does not learn to read in a few hundred steps.
So two things are found first:

1. Answer vectors, by prompt tuning (Lester et al., 2021): for every answer a vector that, added to each soft token of
   any picture, makes the language model give this answer to any question that allows it, right or wrong.
2. The projection, in closed form: ridge regression adds the vector of the right answer to the soft prompt of queries
   that have read a question about presence or side, and nothing to that of queries that have read another instruction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from vision_llm_ros.config import InstructConfig
from vision_llm_ros.language.questions import CANDIDATES, Kind
from vision_llm_ros.model.blip import Blip
from vision_llm_ros.model.llm import LanguageModel
from vision_llm_ros.model.prompt_writer import Prompt, PromptWriter, embeddings
from vision_llm_ros.training.loop import Loop
from vision_llm_ros.training.prompted import PromptBatch, PromptData

ANSWERS = tuple(dict.fromkeys(answer for answers in CANDIDATES.values() for answer in answers))
_FIRST_SCALE = 3.0  # of the answers' own embeddings
_WEAKEST = 0.3  # share of a vector that is to be understood: what is predicted falls short of it
_TOLD_STD = 0.8  # of what words carry: large enough that the queries' states show it
_QUESTIONS_A_CALL, _PICTURES_A_CALL = 64, 8
_RIDGE = 1e-5
_CAPTIONS_WEIGHT = 1.0
_KINDS = (Kind.PRESENCE, Kind.COUNT, Kind.SIDE)  # of which words carry something
_TOLD = (Kind.PRESENCE, Kind.SIDE)  # the number they carry is too rough: counts keep their prompt


class AnswerVectorTrainer(Loop[PromptBatch]):
    """The loop over answer vectors; all else is frozen.

    Attributes:
        vectors: float[A, D], in the order of `ANSWERS`.
    """

    parts = ("words",)
    config: InstructConfig

    def __init__(
        self,
        blip: Blip,
        writer: PromptWriter,
        llm: LanguageModel,
        data: PromptData,
        config: InstructConfig,
        folder: Path,
        device: torch.device,
    ) -> None:
        self.blip, self.writer, self.llm, self.data = blip.requires_grad_(False), writer, llm, data
        self.vectors = nn.Parameter(_FIRST_SCALE * embeddings(llm, ANSWERS))
        groups = [{"params": [self.vectors], "lr": config.answer_rate}]
        super().__init__({"system": "answers"}, replace(config, steps=config.answer_steps), groups, folder, device)

    def learned(self) -> dict[str, Tensor]:
        return {"vectors": self.vectors}

    def prepare(self) -> None:
        self.blip.eval()
        self.llm.base.eval()

    def draw(self, seed: tuple[int, ...], step: int) -> list[PromptBatch]:
        return [self.data.ask(self.config.questions, seed, invented=True)]

    def loss(self, batch: PromptBatch) -> tuple[Tensor, dict[str, float]]:
        with torch.no_grad():
            prompt = self.blip.prompt(self.writer, batch.seen, batch.instruction)
        strength = torch.rand(len(batch.answers), 1, 1, device=self.device) * (1 - _WEAKEST) + _WEAKEST
        added = strength * self.vectors[_rows(batch)].unsqueeze(1)
        soft, rest = prompt.embeds.tensor_split([self.blip.config.num_queries], 1)
        prompt = Prompt(torch.cat([soft + added, rest], 1), prompt.real)
        loss = self.writer(self.llm, prompt, batch.asked, batch.texts, batch.wanted)
        return loss, {"words": float(loss.detach())}


@torch.no_grad()
def fit_projection(blip: Blip, data: PromptData, vectors: Tensor, config: InstructConfig) -> None:
    """Draw what words carry anew and fit the projection to answers; see the head of this file.

    Args:
        vectors: float[A, D], see `AnswerVectorTrainer`.
    """
    teller = blip.eval().teller
    told, width = teller.told.values.weight, teller.project.in_features + 1
    carried = torch.randn(told.shape, generator=torch.Generator().manual_seed(config.seed)).to(told) * _TOLD_STD
    goals = stressed(vectors, config.answer_gain)
    gram, wanted = told.new_zeros(width, width), told.new_zeros(width, teller.project.out_features)
    for call in range(-(-config.answer_questions // _QUESTIONS_A_CALL)):
        asked = data.ask(_QUESTIONS_A_CALL, (config.seed, call), kinds=_KINDS)
        told.zero_()
        before = teller.project(_states(blip, asked))
        told.copy_(carried)
        states = _states(blip, asked)
        rows = _with_one(states)
        gram += rows.T @ rows
        goal = before - teller.project(states) + goals[_rows(asked)].unsqueeze(1)
        wanted += rows.T @ goal.flatten(0, 1)
        rows = _with_one(_states(blip, data.describe(_PICTURES_A_CALL, (config.seed, call))))
        gram += rows.T @ rows * (_CAPTIONS_WEIGHT * _QUESTIONS_A_CALL / _PICTURES_A_CALL)
    ridge = _RIDGE * gram.diagonal().mean() * torch.eye(width, device=gram.device)
    change = torch.linalg.solve(gram + ridge, wanted)
    teller.project.weight.add_(change[:-1].T)
    teller.project.bias.add_(change[-1])


def stressed(vectors: Tensor, gain: float) -> Tensor:
    """float[A, D]: what tells the answers of a kind apart enlarged, as predictions fall short; zero of other kinds."""
    found = torch.zeros_like(vectors)
    for kind in _TOLD:
        rows = [ANSWERS.index(answer) for answer in CANDIDATES[kind]]
        middle = vectors[rows].mean(0)
        found[rows] = middle + gain * (vectors[rows] - middle)
    return found


def start_answers(trainer: AnswerVectorTrainer, progress: Callable[[int, dict[str, float]], None]) -> None:
    """Both steps, on the network of `trainer`; the first goes on where it was stopped."""
    nn.init.zeros_(trainer.blip.teller.told.values.weight)
    trainer.run(progress)
    fit_projection(trainer.blip, trainer.data, trainer.vectors, trainer.config)


def _states(blip: Blip, batch: PromptBatch) -> Tensor:
    """float[B, Q, D] of queries that have read the instruction."""
    keys, visible = blip.image(batch.seen)
    return blip.query_states(batch.seen, keys, visible, batch.instruction)


def _with_one(states: Tensor) -> Tensor:
    """float[B * Q, D + 1] of float[B, Q, D]."""
    return functional.pad(states.flatten(0, 1), (0, 1), value=1.0)


def _rows(batch: PromptBatch) -> Tensor:
    """int[B]: the places of the answers in `ANSWERS`."""
    return torch.tensor([ANSWERS.index(answer) for answer in batch.answers])
