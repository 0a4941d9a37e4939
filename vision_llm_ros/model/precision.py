"""Arithmetic of matrix products: parameters keep their type, products use the chosen one."""

from __future__ import annotations

import contextlib

import torch


def arithmetic(device: torch.device, dtype: torch.dtype) -> contextlib.AbstractContextManager[object]:
    """Autocast to `dtype`; nothing to do for float32."""
    if dtype is torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=dtype)
