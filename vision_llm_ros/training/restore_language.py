"""Learning the language branch: two linear layers and task tokens around a language model that stays untouched.

The start is not random. Content goes in along random orthogonal axes and each place of a tile as a plain word of its
own, a sequence that the language model's copying heads already follow; the layer out is then solved by least squares.

Objective "features" is the paper's (section "Method"). Objective "pixels" asks for what is reported: the log error of
the decoded tile, so that every tile counts as it does in a mean of PSNR; and where restored tokens will stand, not true
ones are given but those that the branch itself makes of the tile in one more pass. Learnt from true tokens, even ones
that were given back a part of their damage, it lost 3 dB of what it had gained on holes as soon as it read its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vision_llm_ros.config import RestoreConfig, RestoreTrainConfig
from vision_llm_ros.errors import ConfigError
from vision_llm_ros.model.autoencoder import VisualModule
from vision_llm_ros.model.llm import LanguageModel
from vision_llm_ros.model.restoration import TASKS, Answer, LanguageRestorer, place_words
from vision_llm_ros.training.restore import StageLoop
from vision_llm_ros.training.restore_data import Damaged, Photographs

_FIT_BATCH = 16
_FLOOR = 1e-4  # squared error of pixels below which a tile is good enough
_TEXT_WEIGHT = {"features": 1.0, "pixels": 0.02}


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
        self.kinds = chosen_tasks(train.tasks)
        super().__init__(module, photographs, config, train, folder, device)

    def describe(self, batch: Damaged) -> str:
        return "+".join(self.kinds)

    @torch.no_grad()
    def encoded(self, batch: Damaged) -> tuple[Tensor, Tensor, Tensor]:
        """Features before and after damage float[B, N, D], and the tasks int[B]."""
        tasks = torch.tensor([TASKS.index(self.kinds[place]) for place in batch.kinds.tolist()], device=self.device)
        return self.visual.encode(batch.damaged.to(self.device)), self.visual.encode(batch.clean.to(self.device)), tasks

    def error(self, restored: Tensor, clean: Tensor, batch: Damaged) -> tuple[Tensor, dict[str, float]]:
        """The objective for restored features float[B, N, D], and what the log says of it.

        Args:
            clean: float[B, N, D].
        """
        if self.config.objective == "features":
            features = (restored - clean).square().sum(-1).mean()
            return features, {"error": float(features.detach())}
        squared = (self.visual.decode(restored) - batch.clean.to(self.device)).square().mean((1, 2, 3))
        pixels = (squared + _FLOOR).log().mean()
        return pixels, {"error": float(pixels.detach())}


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
        given = clean
        if self.config.objective == "pixels":
            with torch.no_grad():
                given = self.answer(damaged, tasks, damaged).features
        answer = self.answer(damaged, tasks, given)
        error, parts = self.error(answer.features, clean, batch)
        text = answer.text_loss * _TEXT_WEIGHT[self.config.objective]
        return error + text, {"text": float(answer.text_loss.detach()), **parts}

    def groups(self, rate: float) -> list[dict[str, Any]]:
        """Layers in begin well and learn three times slower; task tokens begin at zero and learn three times faster."""
        module = self.module
        inner = [module.into.weight, module.into.bias, *(() if module.beside is None else (module.beside.weight,))]
        known = {id(parameter) for parameter in (*inner, module.tasks)}
        rest = [parameter for parameter in module.parameters() if id(parameter) not in known]
        return [
            {"params": inner, "lr": rate / 3},
            {"params": rest, "lr": rate},
            {"params": [module.tasks], "lr": rate * 3},
        ]

    def answer(self, damaged: Tensor, tasks: Tensor, given: Tensor) -> Answer:
        """What is learnt: the chat with tokens given in the places of the restored ones, or all tokens at once."""
        if self.at_once:
            return self.module.at_once(self.llm, damaged, tasks)
        return self.module(self.llm, damaged, tasks, given)  # type: ignore[no-any-return]

    @torch.no_grad()
    def start(self, tiles: int, seed: int = 0) -> None:
        """Begin near an identity, the layer out solved for `tiles` tiles of the tasks to be learnt."""
        batches = [self._batch((seed, 1, number)) for number in range(-(-tiles // _FIT_BATCH))]
        _, clean, _ = self.encoded(batches[0])
        torch.manual_seed(seed)
        self.module.start_from(clean.flatten(0, 1), place_words(self.llm, self.network.num_tokens))
        if not self.network.aligned:  # which starts as an identity
            states, wanted = [], []
            for batch in batches:
                damaged, clean, tasks = self.encoded(batch)
                states.append(self.answer(damaged, tasks, clean).states.flatten(0, 1))
                wanted.append(clean.flatten(0, 1))
            self.module.fit_out(torch.cat(states), torch.cat(wanted))
        self.average = {key: value.detach().clone() for key, value in self.learned().items()}

    def _batch(self, seed: tuple[int, ...]) -> Damaged:
        return self.photographs.damaged(_FIT_BATCH, self.network.tile_px, self.kinds, np.random.default_rng(seed))


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
