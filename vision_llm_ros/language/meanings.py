"""Nearest listed word by meaning, for nouns nobody listed. The word list's vectors are kept in the user's cache."""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import DamerauLevenshtein

from vision_llm_ros.interfaces import TextSimilarity
from vision_llm_ros.language.words import COCO_CLASSES, NOT_OBJECTS, OTHER_NOUNS

logger = logging.getLogger(__name__)

OBJECTS: tuple[str, ...] = (*COCO_CLASSES, *OTHER_NOUNS)
_WORDS = (*OBJECTS, *sorted(NOT_OBJECTS))


@dataclass(frozen=True)
class Meaning:
    """The listed thing nearest to a word.

    Attributes:
        nearest: its name.
        cosine: -1..1.
        is_object: no listed abstract word is nearer.
        by_letters: the two look alike, so the cosine may come from shared word pieces rather than from meaning.
    """

    nearest: str
    cosine: float
    is_object: bool
    by_letters: bool


def cache_folder() -> Path:
    """Folder for what can be recomputed."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vision_llm_ros"


class Meanings:
    """Cosines between any word and the listed ones."""

    def __init__(self, similarity: TextSimilarity) -> None:
        self._similarity = similarity
        self._listed: NDArray[np.float32] | None = None

    def warm_up(self) -> None:
        """Embed the word list, or read it back: seconds the first time on a machine, milliseconds afterwards."""
        if self._listed is None:
            self._listed = self._read_or_embed()

    def _read_or_embed(self) -> NDArray[np.float32]:
        probe = np.round(self._similarity.embed(("person",)), 3) + 0.0
        key = hashlib.sha256("\n".join(_WORDS).encode() + probe.astype(np.float32).tobytes()).hexdigest()[:16]
        path = cache_folder() / f"words-{key}.npy"
        try:
            kept = np.load(path, allow_pickle=False)
            if kept.shape == (len(_WORDS), probe.shape[1]) and np.isfinite(kept).all():
                return np.asarray(kept, np.float32)
        except (OSError, ValueError, EOFError):
            logger.info("Embedding %d words, once per text encoder", len(_WORDS))
        listed = self._similarity.embed(_WORDS)
        self._keep(path, listed)
        return listed

    def _keep(self, path: Path, listed: NDArray[np.float32]) -> None:
        temporary = path.with_suffix(f".{os.getpid()}.npy")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(temporary, listed.astype(np.float16))
            temporary.replace(path)
        except OSError as error:
            logger.info("Word vectors are not kept: %s", error)

    def of(self, word: str) -> Meaning:
        """Find the listed thing that means most nearly the same as `word`."""
        self.warm_up()
        assert self._listed is not None
        cosines = self._listed @ self._similarity.embed((word,))[0]
        objects = cosines[: len(OBJECTS)]
        best = int(objects.argmax())
        nearest = OBJECTS[best]
        alike = DamerauLevenshtein.normalized_similarity(word, nearest) >= 0.5 or word[:2] == nearest[:2]
        return Meaning(nearest, float(objects[best]), bool(objects[best] > cosines[len(OBJECTS) :].max()), alike)
