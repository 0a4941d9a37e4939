"""Thresholds found on pictures that were not learnt from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vision_llm_ros.errors import InputError
from vision_llm_ros.model.blip import Blip, similarity
from vision_llm_ros.model.qformer import tokenize
from vision_llm_ros.training.align_data import AlignData

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
    keys, visible, vectors = _looks(blip, data)
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
        cosines = similarity(vectors[at], blip.text_vectors(data.vectors(texts)))
        logits = blip.fit_logits(keys[at], visible[at], tokenize(data.encoder, texts))
        found.append(torch.stack([cosines.diagonal(), logits[:, 1] - logits[:, 0]], 1))
    return torch.cat(found), torch.tensor([own for _, _, own in rows])


def _looks(blip: Blip, data: AlignData) -> tuple[Tensor, Tensor, Tensor]:
    """Keys, what is visible, and ITC's vectors of the pictures held out."""
    blip.eval()
    seen = data.features.seen([data.features.rows[i] for i in data.held_out_ids])
    keys, visible = blip.image(seen)
    return keys, visible, blip.image_vectors(keys, visible, blip.scene(seen, visible))


def calibrate_match(blip: Blip, data: AlignData) -> dict[str, float]:
    """Logistic regression of "belongs together" on both scores: the settings of `Matcher.probability`.

    ITM's weight is kept at zero or above: a head that has learnt nothing is not listened to.
    """
    scores, own = held_out_pairs(blip, data)
    weights = torch.zeros(3, requires_grad=True)
    mean, spread = scores.mean(0), scores.std(0).clamp(min=1e-6)
    optimizer = torch.optim.LBFGS([weights], max_iter=_STEPS)

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = ((scores - mean) / spread) @ weights[:2].clamp(min=0) + weights[2]
        value = functional.binary_cross_entropy_with_logits(logits, own) + 1e-3 * weights.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    with torch.no_grad():
        weights.fill_(0.5)
    optimizer.step(loss)  # type: ignore[no-untyped-call]
    gains = (weights.detach()[:2].clamp(min=0) / spread).tolist()
    bias = float(weights.detach()[2]) - sum(g * m for g, m in zip(gains, mean.tolist(), strict=True))
    return {"match_similarity": gains[0], "match_fit": gains[1], "match_bias": bias}


def keep(run: Path, values: dict[str, Any]) -> None:
    """Add to what has been calibrated of a run."""
    (run / CALIBRATED).write_text(json.dumps(calibrated(run) | values, indent=2) + "\n", encoding="utf-8")


def calibrated(run: Path) -> dict[str, Any]:
    """Settings found after a run, by name; none where nothing was calibrated."""
    path = run / CALIBRATED
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}
