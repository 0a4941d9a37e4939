"""The arms of the published ablations (VisionLLM, tables 6 and 7; LM4LV), and the small network of the former."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vision_llm_ros.config import ModelConfig

# What every arm has unless it says otherwise. Where a box lies is estimated by the imported tokenizer, as boxes from
# nothing take thousands of steps; what is in it, and whether to tell it, is left to the language model.
NETWORK: dict[str, Any] = {"llm_layers": 4, "num_queries": 25, "class_prior": False}
CLASSES = "person,car,chair,motorcycle,bicycle"


@dataclass(frozen=True)
class Arm:
    """One setting of an ablation.

    Attributes:
        published_ap: COCO box AP in the paper, None where it gives none.
        model: changes of ModelConfig.
        randomness: class sets, order, words and tokens change from step to step; else all is the same at every step.
        stages: 2 spends a part of the budget on the tokenizer alone; 1 spends all on the whole.
        one_by_one: answers are decoded token by token.
        published: what the paper says, where it gives no number.
    """

    name: str
    published_ap: float | None = None
    model: dict[str, Any] = field(default_factory=dict)
    randomness: bool = False
    stages: int = 2
    one_by_one: bool = False
    published: str = ""

    def learnt_as(self, standard: ModelConfig) -> str:
        """Names what is learnt: arms that are learnt alike share one run, also across ablations."""
        changes = {key: value for key, value in self.model.items() if value != getattr(standard, key)}
        parts = [f"{key.replace('_', '-')}-{value}".lower() for key, value in sorted(changes.items())]
        parts += ["random-words"] * self.randomness + ["one-stage"] * (self.stages == 1)
        return "-".join(parts) or "standard"


ABLATIONS: dict[str, tuple[Arm, ...]] = {
    "prior": (
        Arm("no prior", None, {"region_prior": False}),
        Arm("prior of boxes"),
        Arm("prior of boxes and classes", None, {"class_prior": True}),
    ),
    "tokens": tuple(
        Arm(f"{count} tokens", published, {"num_queries": count})
        for count, published in ((25, None), (50, 44.5), (100, 44.8))
    ),
    "bins": tuple(
        Arm(f"{bins} bins", published, {"location_bins": bins})
        for bins, published in ((257, 34.9), (513, 40.8), (1025, 44.8), (2049, 44.8))
    ),
    "tokenizer": (
        Arm("average pool", 23.1, {"tokenizer": "average_pool"}),
        Arm("queries", 44.8, {"tokenizer": "query"}),
    ),
    "lora": (
        Arm("no LoRA, fixed words", 45.2, {"lora_rank": 0}),
        Arm("no LoRA, random words", 1.2, {"lora_rank": 0}, randomness=True),
        Arm("LoRA, fixed words"),
        Arm("LoRA, random words", 44.8, randomness=True),
    ),
    "stages": (Arm("one stage", 28.0, stages=1), Arm("two stages", 44.8, stages=2)),
    "text": (
        Arm("no text", 44.7, {"text_mode": "none"}),
        Arm("frozen", 1.3, {"text_mode": "frozen"}),
        Arm("trained", 44.8, {"text_mode": "trained"}),
    ),
    "decoding": (
        Arm("in parallel", 44.8),
        Arm(
            "token by token, same weights",
            one_by_one=True,
            published="learnt token by token it did not converge",
        ),
    ),
}

# What `ablate-restore` compares (LM4LV, section "Ablations").
RESTORE_ARMS: dict[str, str] = {
    "reconstruction": "MAE-r: the damaged tile, encoded and decoded",
    "linear": "a linear map of the tokens",
    "mlp": "a two-layer MLP of the branch's size",
    "transformer": "a one-layer transformer of the branch's size",
    "llm": "the language model, token by token, as published",
    "llm-random": "the same with random weights in its layers",
    "llm-at-once": "the language model in one pass, without causal mask and positions",
    "llm-joint": "as published, all compared tasks learnt jointly with the same steps",
    "aligned": "the language model reads the damaged token beside the restored one, on top of a linear map",
    "aligned-random": "the same with random weights in its layers",
    "aligned-at-once": "the same in one pass, without causal mask and positions",
    "aligned-joint": "aligned, all compared tasks learnt jointly with the same steps",
}
