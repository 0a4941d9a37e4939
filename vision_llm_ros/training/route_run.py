"""A router's run on disk: its settings, its last touch, its calibration, its export."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch

from vision_llm_ros.config import RouterConfig, RouterTrainConfig, from_mapping
from vision_llm_ros.language.utterances import utterances
from vision_llm_ros.model import weights
from vision_llm_ros.model.llm import LanguageModel
from vision_llm_ros.model.router import ADAPTER, Router, learned
from vision_llm_ros.model.router_meaning import MeaningEncoder
from vision_llm_ros.model.text import TextEncoder
from vision_llm_ros.training.route import build
from vision_llm_ros.training.route_fit import fit, look
from vision_llm_ros.training.route_meaning import head_of
from vision_llm_ros.training.run_folder import SETTINGS, kept_settings
from vision_llm_ros.training.start import read_checkpoint

MEANING = "meaning"  # folder of the text encoder's adapter within a run
CALIBRATED_ON = 150  # sentences of each
CALIBRATED_BY = ("choosing", "apart", "other")


def export(
    source: Path, out: Path, llm: LanguageModel, encoder: TextEncoder, text: str = ""
) -> weights.Manifest[RouterConfig]:
    """Write the averaged weights of a run as the part `router` of a weights folder.

    Reader and heads learn on, see `route_fit`; the threshold is chosen on forms of sentences that were not learnt from.

    Raises:
        WeightsError: no checkpoint, or it is damaged.
        ConfigError: the run has no settings.json.
    """
    saved = read_checkpoint(source)
    config, train, about = read_run(source)
    router = build(config, llm).eval()
    weights.fill(learned(router, llm), saved["average"], str(source))
    ear, head = MeaningEncoder(encoder, config), head_of(config)
    meaning = read_checkpoint(source / MEANING)
    told = ear.learned() | {f"head.{key}": value for key, value in head.state_dict().items()}
    weights.fill(told, meaning["average"], str(source / MEANING))
    router.judge_by(head)
    kept = {key: value.clone() for key, value in (learned(router, llm) | ear.learned()).items()}
    llm.base.eval()
    with torch.no_grad():
        llm.merge(ADAPTER)
    ear.eval()
    looked = look(router, llm, ear, list(utterances("learnt", train.fit_sentences, train.seed + 1)))
    fit(router, looked, train.fit_steps, train.seed)
    kept |= {f"network.{key}": value for key, value in router.state_dict().items()}
    threshold = calibrate(router, llm, ear, train.seed)
    notes = {
        **about,
        "steps": saved["step"],
        "meaning_steps": meaning["step"],
        "batch_size": train.batch_size,
        "seed": train.seed,
    }
    config = dataclasses.replace(config, threshold=threshold)
    return weights.save(out, config, kept, (), notes | ({"text": text} if text else {}))


@torch.no_grad()
def calibrate(router: Router, llm: LanguageModel, encoder: MeaningEncoder, seed: int) -> float:
    """The threshold by sentences of the splits to choose by; see `best_threshold`."""
    read = []
    for wanted in (item for split in CALIBRATED_BY for item in utterances(split, CALIBRATED_ON, seed)):
        invocations, confidence = router.read(llm, wanted.text, encoder)
        right = tuple(item.module for item in invocations) == wanted.modules
        refused = invocations[-1].refused and wanted.refused
        read.append((confidence, right or refused, wanted.refused))
    return best_threshold(read)


def best_threshold(read: list[tuple[float, bool, bool]]) -> float:
    """The probability below which refusing does best for served and refused sentences together.

    Args:
        read: probability of a reading, whether it is right, whether the sentence is to be refused.
    """

    def score(threshold: float) -> float:
        served = [right and confidence >= threshold for confidence, right, refused in read if not refused]
        refusals = [right or confidence < threshold for confidence, right, refused in read if refused]
        return sum(sum(some) / len(some) for some in (served, refusals) if some)

    tried = sorted({confidence for confidence, _, _ in read})
    return round(tried[max(range(len(tried)), key=lambda place: score(tried[place]))], 4)


def read_run(source: Path) -> tuple[RouterConfig, RouterTrainConfig, dict[str, Any]]:
    """How the network is made, how it learnt, and what else is known.

    Raises:
        ConfigError: settings.json is missing or damaged.
    """
    values, name = kept_settings(source), str(source / SETTINGS)
    train = from_mapping(RouterTrainConfig, values["train"], name)
    return from_mapping(RouterConfig, values["network"], name), train, values["about"]
