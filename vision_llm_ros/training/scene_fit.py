"""Closed-form start of matching: ridge regression from pooled features to sentence vectors and to words."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor, nn

from vision_llm_ros.model.blip import Blip, summary
from vision_llm_ros.training.align_data import AlignData

NUM_TAGS = 700
_RIDGE, _TAG_RIDGE = 1000.0, 1.0
_UNTOLD = frozenset(
    "a an the of on in at to and with is are was were that this it its their his her as be by or has".split()
)
_CHUNK = 256


def frequent_words(data: AlignData, count: int = NUM_TAGS) -> tuple[str, ...]:
    """The words that most captions use, particles aside; most frequent first."""
    used = Counter(word for i in data.image_ids for text in data.captions[i] for word in set(text.split()))
    return tuple([word for word, _ in used.most_common() if word.isalpha() and word not in _UNTOLD][:count])


@torch.no_grad()
def fit_scene(blip: Blip, data: AlignData) -> None:
    """Fit the sentence space and the scene's vector in it, on the pictures that are learnt from."""
    inputs = _summaries(blip, data)
    means = torch.stack([data.vectors(data.captions[i]).mean(0) for i in data.image_ids])
    centre = means.mean(0)
    _, _, basis = torch.linalg.svd(means - centre, full_matrices=False)
    text = blip.matcher.text_vector
    rank = min(text.out_features, len(basis))
    text.weight.zero_()
    text.weight[:rank] = basis[:rank]
    text.bias.copy_(-(text.weight @ centre))
    _ridge(blip.scene.vector, inputs, text(means), _RIDGE)


@torch.no_grad()
def fit_tags(blip: Blip, data: AlignData) -> None:
    """Fit the words to the scene's vector as it is now; to be done again when that has learnt."""
    _ridge(blip.scene.tags, blip.scene.vector(_summaries(blip, data)), _word_shares(data, blip.config.tags), _TAG_RIDGE)


def _summaries(blip: Blip, data: AlignData) -> Tensor:
    rows = [data.features.rows[i] for i in data.image_ids]
    parts = []
    for start in range(0, len(rows), _CHUNK):
        seen = data.features.seen(rows[start : start + _CHUNK])
        _, visible = blip.image(seen)
        parts.append(summary(seen, visible))
    return torch.cat(parts)


def _ridge(layer: nn.Linear, inputs: Tensor, wanted: Tensor, strength: float) -> None:
    """Fit a linear layer to standardised inputs float[N, I] and wanted float[N, O]."""
    mean, spread = inputs.mean(0), inputs.std(0).clamp(min=1e-3)
    standard, offset = (inputs - mean) / spread, wanted.mean(0)
    gram = standard.T @ standard + strength * torch.eye(inputs.shape[1])
    weight = torch.linalg.solve(gram, standard.T @ (wanted - offset)).T / spread
    layer.weight.copy_(weight)
    layer.bias.copy_(offset - weight @ mean)


def _word_shares(data: AlignData, words: tuple[str, ...]) -> Tensor:
    """float[N, W]: in which share of a picture's captions each word stands."""
    place = {word: index for index, word in enumerate(words)}
    shares = torch.zeros(len(data.image_ids), len(words))
    for row, image_id in enumerate(data.image_ids):
        texts = data.captions[image_id]
        for text in texts:
            for word in set(text.split()) & place.keys():
                shares[row, place[word]] += 1 / len(texts)
    return shares
