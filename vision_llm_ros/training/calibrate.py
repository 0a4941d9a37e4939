"""Thresholds found on pictures that were not learnt from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vision_llm_ros.errors import InputError
from vision_llm_ros.language.questions import Kind
from vision_llm_ros.model.blip import Blip, similarity
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.model.qformer import tokenize
from vision_llm_ros.training.align_data import AlignData
from vision_llm_ros.training.question_data import Question

CALIBRATED = "calibrated.json"
_PAIRS_A_CALL = 64
_STEPS = 200


@torch.no_grad()
def held_out_pairs(blip: Blip, data: AlignData, seed: int = 0) -> tuple[Tensor, Tensor]:
    """ITC's cosine and ITM's logit of held-out captions with their own picture and with another.

    Returns:
        float[N, 2] and whether they belong together, float[N]; half of them do.
    Raises:
        InputError: fewer than two pictures are held out.
    """
    ids = data.held_out_ids
    if len(ids) < 2:
        raise InputError(f"Calibration needs pictures that are not learnt from, got {len(ids)}; use --held-out")
    rng = np.random.default_rng(seed)
    blip.eval()
    looks = blip.look(data.features.seen([data.features.rows[i] for i in ids]))
    rows: list[tuple[int, str, float]] = []
    for place, image_id in enumerate(ids):
        text = data.captions[image_id][int(rng.integers(len(data.captions[image_id])))]
        other = (place + int(rng.integers(1, len(ids)))) % len(ids)
        rows += [(place, text, 1.0), (other, text, 0.0)]
    found = []
    for start in range(0, len(rows), _PAIRS_A_CALL):
        part = rows[start : start + _PAIRS_A_CALL]
        at = torch.tensor([place for place, _, _ in part])
        texts = [text for _, text, _ in part]
        sentences = blip.text_vectors(data.vectors(texts))
        cosines = similarity(looks.vectors[at], sentences)
        logits = blip.fit_logits(looks[at], tokenize(data.encoder, texts), sentences)
        found.append(torch.stack([cosines.diagonal(), logits[:, 1] - logits[:, 0]], 1))
    return torch.cat(found), torch.tensor([own for _, _, own in rows])


@torch.no_grad()
def calibrate_presence(model: VisionLLM, data: AlignData, questions: Sequence[Question]) -> dict[str, float]:
    """Logistic regression of "yes" on the best proposal's logit, on questions about pictures held out.

    The language model's own logit gets no weight here: to hear it takes a pass for every question.

    Raises:
        InputError: no question of the kind is about a held-out picture.
    """
    held = set(data.held_out_ids)
    asked = [question for question in questions if question.kind == Kind.PRESENCE and question.image_id in held]
    if not asked:
        raise InputError("Calibration needs questions about held-out pictures; use --held-out")
    seen = data.features.seen([data.features.rows[question.image_id] for question in asked])
    best = [
        model.tokenizer.scorer(seen.semantics[row : row + 1], model.text_encoder((question.label,))).max()
        for row, question in enumerate(asked)
    ]
    own = torch.tensor([float(question.answer == "yes") for question in asked])
    gains, bias = logistic(torch.stack(best).unsqueeze(1), own)
    return {"presence_writer": 0.0, "presence_detector": gains[0], "presence_bias": bias}


def calibrate_match(blip: Blip, data: AlignData) -> dict[str, float]:
    """Logistic regression of "belongs together" on ITM's logit: the settings of `Matcher.probability`.

    ITM starts from ITC's cosine, which gets no weight beside it: on pictures held out it made the probability worse.
    """
    scores, own = held_out_pairs(blip, data)
    gains, bias = logistic(scores[:, 1:], own)
    return {"match_similarity": 0.0, "match_fit": gains[0], "match_bias": bias}


@torch.enable_grad()
def logistic(scores: Tensor, own: Tensor) -> tuple[list[float], float]:
    """Weights, none below zero, and offset that tell float[N] 0 or 1 from scores float[N, K]."""
    mean, spread = scores.mean(0), scores.std(0).clamp(min=1e-6)
    weights = torch.full((scores.shape[1] + 1,), 0.5, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=_STEPS)

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = ((scores - mean) / spread) @ weights[:-1].clamp(min=0) + weights[-1]
        value = functional.binary_cross_entropy_with_logits(logits, own) + 1e-3 * weights.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    gains = (weights.detach()[:-1].clamp(min=0) / spread).tolist()
    bias = float(weights.detach()[-1]) - sum(g * m for g, m in zip(gains, mean.tolist(), strict=True))
    return gains, bias


def keep(run: Path, values: dict[str, Any]) -> None:
    """Add to what has been calibrated of a run."""
    (run / CALIBRATED).write_text(json.dumps(calibrated(run) | values, indent=2) + "\n", encoding="utf-8")


def calibrated(run: Path) -> dict[str, Any]:
    """Settings found after a run, by name; none where nothing was calibrated."""
    path = run / CALIBRATED
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}
