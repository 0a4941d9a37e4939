"""What is asked for, whatever it is asked of: the text encoder, with an adapter of the router's own."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from vision_llm_ros.config import RouterConfig
from vision_llm_ros.language.plain_things import without_things
from vision_llm_ros.model.text import TextEncoder

_NAME = "router"
_MARKER = f".{_NAME}.weight"
_TARGETS = r".*layer\.\d+\.(?:attention\.self\.(?:query|value)|intermediate\.dense|output\.dense)"


class MeaningEncoder(nn.Module):
    """A text encoder, and the same weights once more with an adapter on queries, values and both layers of each MLP.

    Words are read by the former, `plain`, the meaning of a whole task by the latter.
    """

    def __init__(self, encoder: TextEncoder, config: RouterConfig) -> None:
        super().__init__()
        from peft import LoraConfig, inject_adapter_in_model

        self.plain = encoder
        known: dict[int, Any] = {id(tensor): tensor for tensor in (*encoder.parameters(), *encoder.buffers())}
        known[id(encoder.tokenizer)] = encoder.tokenizer
        self.adapted = copy.deepcopy(encoder, known)
        lora = LoraConfig(
            r=config.meaning_rank,
            lora_alpha=2 * config.meaning_rank,
            lora_dropout=config.lora_dropout,
            target_modules=_TARGETS,
        )
        inject_adapter_in_model(lora, self.adapted.bert, adapter_name=_NAME)
        self.adapted.eval()

    def forward(self, tasks: list[str]) -> Tensor:
        """Vectors float[len(tasks), M] of unit length, of the words of tasks with "thing" in the place of all things.

        With gradient where gradients are on; else each is computed once and kept.
        """
        masked = tuple(map(without_things, tasks))
        return self.adapted.encode(masked) if torch.is_grad_enabled() else self.adapted(masked)

    def learned(self) -> dict[str, Tensor]:
        """The adapter's tensors, by name."""
        own = self.adapted.bert.named_parameters()
        return {f"meaning.{key.replace(_MARKER, '.weight')}": value for key, value in own if "lora_" in key}
