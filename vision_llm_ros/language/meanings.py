"""What an unlisted noun means: the nearest listed thing, and whether it is a thing at all.

Things and abstract words are told apart by a ridge regression on the text encoder's vectors of the word lists. The
vectors are kept in the user's cache. Single cosines would not do: for rare words the nearest neighbour of
all-MiniLM-L6-v2 often shares letters rather than meaning.
"""

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
from vision_llm_ros.language.words import COCO_CLASSES, COMMON_NOUNS, NOT_OBJECTS

RIDGE = 10.0
logger = logging.getLogger(__name__)

OBJECTS: tuple[str, ...] = (*COCO_CLASSES, *COMMON_NOUNS)
_WORDS = (*OBJECTS, *sorted(NOT_OBJECTS))


@dataclass(frozen=True)
class Meaning:
    """The listed thing nearest to a word.

    Attributes:
        nearest: its name.
        cosine: -1..1.
        thingness: about 1 for things, about -1 for abstract words.
        by_letters: the two look alike, so the cosine may come from shared word pieces rather than from meaning.
    """

    nearest: str
    cosine: float
    thingness: float
    by_letters: bool


def cache_folder() -> Path:
    """Folder for what can be recomputed."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vision_llm_ros"


class Meanings:
    """Cosines between any word and the listed ones."""

    def __init__(self, similarity: TextSimilarity) -> None:
        self._similarity = similarity
        self._listed: NDArray[np.float32] | None = None
        self._judge: NDArray[np.float64] = np.zeros(0)

    def warm_up(self) -> None:
        """Embed the word list, or read it back: seconds the first time on a machine, milliseconds afterwards."""
        if self._listed is None:
            listed = self._read_or_embed()
            self._judge = _fit(listed)
            self._listed = listed

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
        vector = self._similarity.embed((word,))[0]
        cosines = self._listed[: len(OBJECTS)] @ vector
        best = int(cosines.argmax())
        nearest = OBJECTS[best]
        alike = DamerauLevenshtein.normalized_similarity(word, nearest) >= 0.5 or word[:2] == nearest[:2]
        return Meaning(nearest, float(cosines[best]), float(self._judge @ np.append(vector, 1.0)), alike)


def _fit(listed: NDArray[np.float32]) -> NDArray[np.float64]:
    """Ridge regression onto +1 for things, -1 for abstract words, both sides weighing the same: float64[D + 1]."""
    inputs = np.column_stack([listed.astype(np.float64), np.ones(len(listed))])
    is_thing = np.arange(len(listed)) < len(OBJECTS)
    weight = np.where(is_thing, 1 / is_thing.sum(), 1 / (~is_thing).sum())
    weighted = (inputs * (weight / weight.mean())[:, None]).T
    penalty = RIDGE * np.eye(inputs.shape[1])
    return np.asarray(np.linalg.solve(weighted @ inputs + penalty, weighted @ np.where(is_thing, 1.0, -1.0)))
