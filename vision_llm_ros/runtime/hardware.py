"""Choosing device, arithmetic and threads by looking, not by guessing."""

from __future__ import annotations

import os
import time
from functools import lru_cache

import torch

from vision_llm_ros.config import RuntimeConfig
from vision_llm_ros.errors import ConfigError

_PROBE_ROWS, _PROBE_WIDTH, _PROBE_ROUNDS, _PROBE_S = 96, 576, 6, 0.05


def choose_device(wanted: str) -> torch.device:
    """Turn "auto", "cpu" or "cuda:N" into a device.

    Raises:
        ConfigError: no such device here.
    """
    if wanted == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise ConfigError(f"device: expected auto, cpu or cuda:N, got {wanted!r}") from error
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"device: expected auto, cpu or cuda:N, got {wanted!r}")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise ConfigError(f"device: {wanted!r} asked for, but this PyTorch sees {count} CUDA devices; use auto or cpu")
    return device


def choose_dtype(wanted: str, device: torch.device) -> torch.dtype:
    """Turn "auto" or a name into the arithmetic of matrix products; auto times them."""
    if wanted != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[wanted]
    return fastest_dtype(str(device))


@lru_cache(maxsize=8)
def fastest_dtype(device: str) -> torch.dtype:
    """The faster of float32 and bfloat16 for products of the language model's size; some 10 to 100 ms, once."""
    timings = {dtype: _time_products(device, dtype) for dtype in (torch.float32, torch.bfloat16)}
    return min(timings, key=lambda dtype: timings[dtype])


def _time_products(device: str, dtype: torch.dtype) -> float:
    left = torch.randn(_PROBE_ROWS, _PROBE_WIDTH, device=device, dtype=dtype)
    right = torch.randn(_PROBE_WIDTH, 3 * _PROBE_WIDTH, device=device, dtype=dtype)
    best = float("inf")
    deadline = time.perf_counter() + _PROBE_S
    for _ in range(_PROBE_ROUNDS):
        started = time.perf_counter()
        (left @ right).sum().item()
        best = min(best, time.perf_counter() - started)
        if time.perf_counter() > deadline:  # emulated bfloat16 is so slow that more rounds tell nothing
            break
    return best


def set_threads(config: RuntimeConfig) -> int:
    """Use the configured number of CPU threads (0: one per core); returns the number."""
    threads = config.threads or len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    return threads
