"""A run of the region token on disk: features of the marks, the loop, the choice of the threshold, the export."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from vision_llm_ros.config import RegionConfig, RegionTokenConfig, from_mapping
from vision_llm_ros.errors import ConfigError, WeightsError
from vision_llm_ros.model import weights
from vision_llm_ros.model.region_token import Look, RegionToken, Vocabulary
from vision_llm_ros.training.loop import Loop
from vision_llm_ros.training.region_naming import Regions, draw_regions, naming_loss
from vision_llm_ros.training.run_folder import SETTINGS, kept_settings
from vision_llm_ros.training.start import read_checkpoint

FEATURES = "regions.pt"
SHARPNESS = torch.logspace(-1, 1, 41)
SYSTEM = "region"


class RegionTrainer(Loop[Tensor]):
    """The loop over marks whose features were looked up once."""

    parts = ("name",)
    config: RegionConfig

    def __init__(self, token: RegionToken, regions: Regions, config: RegionConfig, folder: Path) -> None:
        """Learn from all pictures but a share that is held out for `calibrate`."""
        self.token, self.regions = token, subset(regions, ~held_out(regions, config))
        groups = [{"params": list(token.parameters()), "lr": config.learning_rate}]
        super().__init__({"system": SYSTEM}, config, groups, folder, torch.device("cpu"))

    def learned(self) -> dict[str, Tensor]:
        return learned(self.token)

    def draw(self, seed: tuple[int, ...], step: int) -> list[Tensor]:
        generator = torch.Generator().manual_seed(hash(seed) % 2**63)
        return [draw_regions(self.regions, self.config.batch_size, generator)]

    def loss(self, batch: Tensor) -> tuple[Tensor, dict[str, float]]:
        loss = naming_loss(self.token, self.regions, batch)
        return loss, {"name": loss.item()}

    def prepare(self) -> None:
        self.token.train()


def learned(token: RegionToken) -> dict[str, Tensor]:
    """Every tensor that is stored, by name."""
    return {f"token.{key}": value for key, value in token.state_dict().items()}


def held_out(regions: Regions, config: RegionConfig) -> Tensor:
    """bool[N]: marks in the pictures that are not learnt from, chosen with the run's seed."""
    count = int(regions.pictures.max()) + 1
    order = torch.randperm(count, generator=torch.Generator().manual_seed(config.seed))
    return torch.isin(regions.pictures, order[: round(config.held_out * count)])


def subset(regions: Regions, chosen: Tensor) -> Regions:
    """The marks of bool[N]."""
    rows = {name: getattr(regions, name)[chosen] for name in ("look", "whole", "names", "marks", "pictures")}
    return Regions(vocabulary=regions.vocabulary, **rows)


def kept_regions(folder: Path, read: Callable[[], Regions]) -> Regions:
    """The features that a run keeps; they are read where it has none yet.

    Raises:
        ConfigError: the file is damaged.
    """
    path = folder / FEATURES
    if not path.is_file():
        regions = read()
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        torch.save(dataclasses.asdict(regions), partial)
        partial.rename(path)
    try:
        saved: dict[str, Any] = torch.load(path, weights_only=True)
        look, whole = (Look(**saved.pop(name)) for name in ("look", "whole"))
        return Regions(look, whole, vocabulary=Vocabulary(**saved.pop("vocabulary")), **saved)
    except (RuntimeError, KeyError, TypeError, EOFError, OSError, pickle.UnpicklingError) as error:
        raise ConfigError(f"{path} is damaged ({error!r}); remove it, and it is made again") from error


def export(source: Path, out: Path, text: str = "") -> weights.Manifest[RegionTokenConfig]:
    """Write the averaged weights of a run as the part `region` of a weights folder.

    How sharp its probabilities are and from which a name is said is chosen on the run's held-out pictures.

    Raises:
        WeightsError: no checkpoint, or the features are missing.
        ConfigError: the run has no settings.json.
    """
    saved, (train, about) = read_checkpoint(source), read_run(source)
    if not (source / FEATURES).is_file():
        raise WeightsError(f"{source} lacks {FEATURES}, which the threshold is chosen on; train again")
    regions = kept_regions(source, _nothing)
    token = RegionToken(regions.look.means.shape[1], regions.vocabulary.words.shape[1], train.hidden_width).eval()
    weights.fill(learned(token), saved["average"], str(source))
    chosen = held_out(regions, train)
    threshold = RegionTokenConfig.threshold
    if chosen.any():
        left = subset(regions, chosen)
        sharpen(token, left)
        threshold = calibrate(token, left, train.right)
    config = RegionTokenConfig(hidden_width=train.hidden_width, threshold=threshold)
    notes = {**about, "steps": saved["step"], "batch_size": train.batch_size, "seed": train.seed}
    return weights.save(out, config, learned(token), (), notes | ({"text": text} if text else {}))


@torch.no_grad()
def sharpen(token: RegionToken, regions: Regions) -> None:
    """Scale the logits so that probabilities mean what they say: the factor of the least cross-entropy."""
    logits = token.names(regions.look.exact(), regions.vocabulary)
    losses = [float(cross_entropy(factor * logits, regions.names)) for factor in SHARPNESS.tolist()]
    for scale in (token.scale, token.trust):
        scale.mul_(SHARPNESS[int(np.argmin(losses))])


@torch.no_grad()
def calibrate(token: RegionToken, regions: Regions, right: float) -> float:
    """The least probability from which a share of `right` of the names is right; 1 where there is none."""
    rows = torch.arange(len(regions.names))
    likely, named = token.names(regions.look.exact(), regions.vocabulary).softmax(-1).max(-1)
    order = likely.argsort(descending=True)
    share = (named == regions.names)[order].float().cumsum(0) / (rows + 1)
    enough = (share >= right).nonzero()
    return round(float(likely[order[enough[-1, 0]]]), 4) if len(enough) else 1.0


def read_run(source: Path) -> tuple[RegionConfig, dict[str, Any]]:
    """How a run learnt, and what else is known.

    Raises:
        ConfigError: settings.json is missing or damaged.
    """
    values = kept_settings(source)
    return from_mapping(RegionConfig, values["train"], str(source / SETTINGS)), values["about"]


def _nothing() -> Regions:
    raise WeightsError(f"The run has no {FEATURES}")
