"""Pictures with their captions as stage 1 learns from them: frozen features, frozen sentence vectors."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from vision_llm_ros.errors import InputError
from vision_llm_ros.model.qformer import Tokens, tokenize
from vision_llm_ros.model.qformer_image import Seen
from vision_llm_ros.model.text import TextEncoder
from vision_llm_ros.training.datasets import CaptionSet
from vision_llm_ros.training.qformer_features import Features

_SIDED = re.compile(r"\b(?:left|right)\b")
_NOT_WORDS = re.compile(r"[^\w\s'-]+")
_CHUNK = 64


@dataclass(frozen=True)
class AlignBatch:
    """B pictures, a caption of each: features, tokens, and the sentence vector float[B, D]."""

    seen: Seen
    text: Tokens
    sentences: Tensor


def plain(caption: str) -> str:
    """Lower-case, without punctuation, as BLIP trains on captions."""
    return " ".join(_NOT_WORDS.sub(" ", caption.lower()).split())


class AlignData:
    """Draws pictures with captions, each batch determined by its seed alone."""

    def __init__(
        self, captions: CaptionSet, features: Features, encoder: TextEncoder, folder: Path, held_out: int = 0
    ) -> None:
        """Read the sentence vectors, which are computed once and kept in `folder`.

        Args:
            held_out: pictures at the end of the list that are not learnt from but chosen on.
        Raises:
            InputError: fewer than two pictures are left to learn from.
        """
        ids = [picture.image_id for picture in captions.pictures if picture.image_id in features.rows]
        if len(ids) - held_out < 2:
            raise InputError(f"Expected captions of at least {held_out + 2} readable pictures, got {len(ids)}")
        order = np.random.default_rng(7).permutation(len(ids))
        self.image_ids = [ids[i] for i in order[held_out:]]
        self.held_out_ids = [ids[i] for i in order[:held_out]]
        self.features, self.encoder = features, encoder
        self.captions = {image_id: tuple(map(plain, captions.captions[image_id])) for image_id in ids}
        self.sentences = sorted({text for texts in self.captions.values() for text in texts})
        self._place = {text: place for place, text in enumerate(self.sentences)}
        self._vectors = _sentence_vectors(encoder, self.sentences, folder)

    def vectors(self, sentences: Sequence[str]) -> Tensor:
        """Sentence vectors float[T, D] of captions of this set."""
        return self._vectors[[self._place[text] for text in sentences]]

    def vocabulary(self) -> Tensor:
        """int[V]: the word pieces that captions consist of, sorted."""
        found: Counter[int] = Counter()
        for start in range(0, len(self.sentences), _CHUNK):
            tokens = tokenize(self.encoder, self.sentences[start : start + _CHUNK])
            found.update(tokens.ids[tokens.real].tolist())
        return torch.tensor(sorted(found))

    def draw(self, size: int, seed: tuple[int, ...]) -> AlignBatch:
        """Different pictures, one of the captions of each, half of them mirrored."""
        rng = np.random.default_rng(seed)
        size = min(size, len(self.image_ids))
        ids = [self.image_ids[i] for i in rng.choice(len(self.image_ids), size, replace=False)]
        texts = [self.captions[i][rng.integers(len(self.captions[i]))] for i in ids]
        flips = [not _SIDED.search(text) and bool(rng.random() < 0.5) for text in texts]
        seen = mirrored_some(self.features.seen([self.features.rows[i] for i in ids]), torch.tensor(flips))
        return AlignBatch(seen, tokenize(self.encoder, texts), self.vectors(texts))

    def with_captions(self, captions: dict[int, tuple[str, ...]]) -> AlignData:
        """The same pictures with other captions, all of which are known to this set."""
        import copy

        other = copy.copy(self)
        other.captions = captions
        other.image_ids = [image_id for image_id in self.image_ids if captions.get(image_id)]
        return other


def mirrored_some(seen: Seen, flips: Tensor) -> Seen:
    """Mirror the pictures whose entry in bool[B] is True."""
    other = seen.mirrored()
    cells = torch.where(flips[:, None, None, None], other.cells, seen.cells)
    boxes = torch.where(flips[:, None, None], other.boxes_cxcywh, seen.boxes_cxcywh)
    return replace(seen, cells=cells, boxes_cxcywh=boxes)


def _sentence_vectors(encoder: TextEncoder, sentences: list[str], folder: Path) -> Tensor:
    path = folder / "sentences.pt"
    if path.is_file():
        kept = torch.load(path, weights_only=True)
        place = {text: row for row, text in enumerate(kept["sentences"])}
        if place.keys() >= set(sentences):
            return kept["vectors"][[place[text] for text in sentences]]  # type: ignore[no-any-return]
    ranked = sorted(sentences, key=len)  # of like length, little padding
    parts = []
    with torch.no_grad(), tqdm(total=len(ranked), desc="sentences", unit="sentence") as bar:
        for start in range(0, len(ranked), _CHUNK):
            parts.append(encoder.encode(tuple(ranked[start : start + _CHUNK])).cpu())
            bar.update(len(parts[-1]))
    found = dict(zip(ranked, torch.cat(parts), strict=True))
    vectors = torch.stack([found[text] for text in sentences])
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({"sentences": sentences, "vectors": vectors}, path)
    return vectors
