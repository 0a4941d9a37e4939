"""A router's run on disk: its settings, its last touch, its calibration, its export."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch

from vision_llm_ros.config import RouterConfig, RouterTrainConfig, from_mapping
from vision_llm_ros.errors import ConfigError
from vision_llm_ros.language.utterances import utterances
from vision_llm_ros.model import weights
from vision_llm_ros.model.llm import LanguageModel
from vision_llm_ros.model.router import ADAPTER, Encode, Router, learned
from vision_llm_ros.training.route import build
from vision_llm_ros.training.route_fit import fit, look
from vision_llm_ros.training.run_folder import SETTINGS
from vision_llm_ros.training.start import read_checkpoint

CALIBRATED_ON = 400


def export(
    source: Path, out: Path, llm: LanguageModel, encode: Encode, text: str = ""
) -> weights.Manifest[RouterConfig]:
    """Write the averaged weights of a run as the part `router` of a weights folder.

    Its heads learn once more with the text encoder, and the threshold is chosen on forms of sentences that were not
    learnt from.

    Raises:
        WeightsError: no checkpoint, or it is damaged.
        ConfigError: the run has no settings.json.
    """
    saved = read_checkpoint(source)
    config, train, about = read_run(source)
    router = build(config, llm).eval()
    weights.fill(learned(router, llm), saved["average"], str(source))
    kept = {key: value.clone() for key, value in saved["average"].items()}
    llm.base.eval()
    with torch.no_grad():
        llm.merge(ADAPTER)
    decided = look(router, llm, encode, list(utterances("learnt", train.fit_sentences, train.seed + 1)))
    fit(router, decided, train.fit_steps, train.seed)
    kept |= {f"network.{key}": value for key, value in router.state_dict().items()}
    threshold = calibrate(router, llm, encode, train.right, train.seed)
    notes = {**about, "steps": saved["step"], "batch_size": train.batch_size, "seed": train.seed}
    config = dataclasses.replace(config, threshold=threshold)
    return weights.save(out, config, kept, (), notes | ({"text": text} if text else {}))


@torch.no_grad()
def calibrate(
    router: Router, llm: LanguageModel, encode: Encode, right: float, seed: int, count: int = CALIBRATED_ON
) -> float:
    """The least probability from which readings of unlearnt forms are right in a share of `right`, 0..1."""
    read = []
    for wanted in utterances("choosing", count, seed):
        invocations, confidence = router.read(llm, wanted.text, encode)
        refused = any(item.refused for item in invocations)
        same = tuple(item.module for item in invocations) == wanted.modules
        read.append((confidence, same or (refused and wanted.refused)))
    return least_threshold(read, right)


def least_threshold(read: list[tuple[float, bool]], right: float) -> float:
    """Of (probability, right) the least threshold above which a share of `right` is right; 1 where there is none."""
    ranked = sorted(read, reverse=True)
    best, good = 1.0, 0
    for place, (confidence, is_right) in enumerate(ranked, 1):
        good += is_right
        if good / place >= right:
            best = confidence
    return round(best, 4)


def read_run(source: Path) -> tuple[RouterConfig, RouterTrainConfig, dict[str, Any]]:
    """How the network is made, how it learnt, and what else is known.

    Raises:
        ConfigError: settings.json is missing or damaged.
    """
    path = source / SETTINGS
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        network = from_mapping(RouterConfig, values["network"], str(path))
        return network, from_mapping(RouterTrainConfig, values["train"], str(path)), dict(values["about"])
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{path} is missing or damaged ({error!r}); name the folder of a run") from error
