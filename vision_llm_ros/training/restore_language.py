"""Learning the language branch: two linear layers and task tokens around a language model that stays untouched.

The start is not random. Content goes in along random orthogonal axes and each place of a tile as a plain word of its
own, a sequence that the language model's copying heads already follow; each task's layer out is then solved by least
squares, for an aligned branch after the task's linear map of the damaged tokens.

Objective "features" is the paper's (section "Method"). Objective "pixels" asks for what is reported: the log error of
decoded pixels, over four tiles of a picture together, as tiles that hold no damage would otherwise count most; and
where restored tokens will stand, not true ones are given but those that the branch itself makes of the tile in one more
pass. Learnt from true tokens, even ones that were given back a part of their damage, it lost 3 dB of what it had gained
on holes as soon as it read its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vision_llm_ros.config import RestoreConfig, RestoreTrainConfig
from vision_llm_ros.model.autoencoder import VisualModule
from vision_llm_ros.model.detail import KINDS
from vision_llm_ros.model.llm import LanguageModel
from vision_llm_ros.model.restoration import TASKS, Answer, LanguageRestorer, chosen_tasks, place_words
from vision_llm_ros.model.task_linear import StrengthLinear
from vision_llm_ros.training.restore import StageLoop
from vision_llm_ros.training.restore_data import Damaged, Photographs, squared_error

_FIT_BATCH = 16
_SIDE = 2  # tiles along a side of a picture
_SOLVED = ("language.out.", "language.skip.")
_RIDGE, _OUT_RIDGE, _LEAST_DAMAGE = 5e-4, 1e-2, 1e-3
_FLOOR = 1e-4  # squared error of pixels below which a tile is good enough
_TEXT_WEIGHT = {"features": 1.0, "pixels": 0.02}
_TEXTS: dict[str, int | None] = {"features": None, "pixels": 4}


class FeatureLoop(StageLoop):
    """Something learns to restore a tile's features; the visual module that makes them stays as it is.

    Attributes:
        kinds: the tasks that are learnt, jointly.
    """

    def __init__(
        self,
        module: nn.Module,
        visual: VisualModule,
        photographs: Photographs,
        config: RestoreConfig,
        train: RestoreTrainConfig,
        folder: Path,
        device: torch.device,
    ) -> None:
        """Prepare the loop. Raises `ConfigError` for an unknown task."""
        self.visual = visual.to(device).eval().requires_grad_(False)
        self.kinds = chosen_tasks(config.tasks)
        super().__init__(module, photographs, config, train, folder, device)

    def describe(self, batch: Damaged) -> str:
        return "+".join(self.kinds)

    def draw(self, seed: tuple[int, ...], step: int) -> list[Damaged]:
        return [drawn(self.photographs, self.config.batch_size, self.network, self.kinds, seed)]

    @torch.no_grad()
    def encoded(self, batch: Damaged) -> tuple[Tensor, Tensor, Tensor]:
        """Features before and after damage float[B, N, D], and the tasks int[B], places in `kinds`."""
        damaged, clean = (self.visual.encode(some.to(self.device)) for some in (batch.damaged, batch.clean))
        return damaged, clean, batch.kinds.to(self.device)

    def error(self, restored: Tensor, clean: Tensor, batch: Damaged) -> tuple[Tensor, dict[str, float]]:
        """The objective for restored features float[B, N, D], and what the log says of it.

        Args:
            clean: float[B, N, D].
        """
        if self.config.objective == "features":
            features = (restored - clean).square().sum(-1).mean()
            return features, {"error": float(features.detach())}
        squared = squared_error(self.visual.decode(restored), batch.clean.to(self.device), batch.together)
        pixels = (squared + _FLOOR).log().mean()
        return pixels, {"error": float(pixels.detach())}

    @torch.no_grad()
    def solve_skip(self, skip: StrengthLinear, tiles: int, seed: int) -> None:
        """Make the maps of damaged tokens those that restore best, where geometry is not learnt."""
        for place, kind in ((place, kind) for place, kind in enumerate(self.kinds) if kind in KINDS):
            batch = drawn(self.photographs, tiles, self.network, (kind,), (seed, 3, TASKS.index(kind)))
            damaged, clean, _ = self.encoded(batch)
            number = self.network.num_tokens
            strengths = batch.strength.to(self.device).repeat_interleave(number)
            weights = importance(batch, number).to(self.device)
            skip.solve(place, damaged.flatten(0, 1), clean.flatten(0, 1), strengths, _RIDGE, weights)


class LanguageLoop(FeatureLoop):
    """Stage language."""

    module: LanguageRestorer
    name, parts = "language", ("text", "error")

    def __init__(
        self,
        module: LanguageRestorer,
        llm: LanguageModel,
        visual: VisualModule,
        photographs: Photographs,
        config: RestoreConfig,
        train: RestoreTrainConfig,
        folder: Path,
        device: torch.device,
        at_once: bool = False,
    ) -> None:
        """Prepare the loop.

        Args:
            at_once: learn `LanguageRestorer.at_once`.
            llm: with as many layers in memory as `config.llm_layers` asks for.
            visual: the trained visual module; it stays as it is.
        Raises:
            ConfigError: an unknown task.
        """
        self.llm, self.at_once = llm.to(device).eval(), at_once
        super().__init__(module, visual, photographs, config, train, folder, device)

    def loss(self, batch: Damaged) -> tuple[Tensor, dict[str, float]]:
        damaged, clean, tasks = self.encoded(batch)
        strengths = batch.strength.to(self.device)
        given = self.given(damaged, clean, tasks, strengths)
        answer = self.answer(damaged, tasks, given, strengths, _TEXTS[self.config.objective])
        error, parts = self.error(answer.features, clean, batch)
        text = answer.text_loss * _TEXT_WEIGHT[self.config.objective]
        return error + text, {"text": float(answer.text_loss.detach()), **parts}

    def groups(self, rate: float) -> list[dict[str, Any]]:
        """What begins well learns three times slower; task tokens begin at zero and learn three times faster."""
        out = list(self.module.out.parameters())
        known = {id(parameter) for parameter in (*out, self.module.tasks)}
        begun = [parameter for parameter in self.module.parameters() if id(parameter) not in known]
        return [
            {"params": begun, "lr": rate / 3},
            {"params": out, "lr": rate},
            {"params": [self.module.tasks], "lr": rate * 3},
        ]

    def answer(
        self, damaged: Tensor, tasks: Tensor, given: Tensor, strengths: Tensor, texts: int | None = None
    ) -> Answer:
        """What is learnt: the chat with tokens given in the places of the restored ones, or all tokens at once."""
        if self.at_once:
            return self.module.at_once(self.llm, damaged, tasks, strengths)
        return self.module(self.llm, damaged, tasks, given, strengths, texts)  # type: ignore[no-any-return]

    @torch.no_grad()
    def start(self, tiles: int, seed: int = 0) -> None:
        """Begin near an identity, or the best linear map of each task, solved for `tiles` tiles."""
        _, clean, _ = self.encoded(drawn(self.photographs, _FIT_BATCH, self.network, self.kinds, (seed, 1)))
        torch.manual_seed(seed)
        self.module.start_from(clean.flatten(0, 1), place_words(self.llm, self.network.num_tokens))
        self.read_out(tiles, seed)
        self.average = {key: value.detach().clone() for key, value in self.learned().items()}

    @torch.no_grad()
    def read_out(self, tiles: int, seed: int = 0) -> dict[str, Tensor]:
        """Solve anew what is read off damaged tokens and hidden states, on so many tiles of each task.

        Returns:
            what was solved, by the names of `learned`.
        """
        self.module.out.weight.zero_()
        self.module.out.bias.zero_()
        if self.module.skip is not None:
            self.solve_skip(self.module.skip, tiles, seed)
        self._solve_out(tiles, seed)
        return {key: value for key, value in self.learned().items() if key.startswith(_SOLVED)}

    def _solve_out(self, tiles: int, seed: int) -> None:
        for place, kind in enumerate(self.kinds):
            rows, missing, weights = [], [], []
            for number in range(-(-tiles // _FIT_BATCH)):
                seeds = (seed, 4, TASKS.index(kind), number)
                batch = drawn(self.photographs, _FIT_BATCH, self.network, (kind,), seeds)
                damaged, clean, _ = self.encoded(batch)
                tasks = torch.full((len(damaged),), place, device=self.device)
                strengths = batch.strength.to(self.device)
                answer = self.answer(damaged, tasks, self.given(damaged, clean, tasks, strengths), strengths, texts=0)
                rows.append(answer.states.flatten(0, 1))
                missing.append((clean - answer.features).flatten(0, 1))
                weights.append(importance(batch, self.network.num_tokens).to(self.device))
            inputs, lacking, weight = (torch.cat(some) for some in (rows, missing, weights))
            self.module.out.solve(place, inputs, lacking, _OUT_RIDGE, weight)

    @torch.no_grad()
    def given(self, damaged: Tensor, clean: Tensor, tasks: Tensor, strengths: Tensor) -> Tensor:
        """What stands where restored tokens will: true ones, or, for the objective "pixels", the branch's own."""
        if self.config.objective == "features":
            return clean
        return self.answer(damaged, tasks, damaged, strengths, texts=0).features


def importance(batch: Damaged, num_tokens: int) -> Tensor:
    """float[B * N], 1 on average: the error of a token counts by how little its picture is damaged, as in PSNR."""
    weight = 1 / (squared_error(batch.damaged, batch.clean, batch.together) + _LEAST_DAMAGE)
    return (weight / weight.mean()).repeat_interleave(batch.together * num_tokens)


def drawn(
    photographs: Photographs, tiles: int, network: RestoreConfig, kinds: tuple[str, ...], seed: tuple[int, ...]
) -> Damaged:
    """About so many tiles, four of a picture in a row where pictures have room; one each where geometry is learnt."""
    rng = np.random.default_rng(seed)
    side = 1 if set(kinds) - set(KINDS) else min(_SIDE, photographs.size_px // network.tile_px)
    pictures = photographs.damaged(max(1, tiles // side**2), side * network.tile_px, kinds, rng)
    return pictures.cut(network.tile_px)
