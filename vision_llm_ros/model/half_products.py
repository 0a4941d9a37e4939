"""Matrix products with weights stored as float16, on CPUs: the same numbers from half the memory traffic.

Text that is written token by token multiplies a few rows with every weight there is, and waits for memory. Weights
published as bfloat16 are float16 numbers too, up to its smallest step; arithmetic stays float32.
"""

from __future__ import annotations

import contextlib
import ctypes
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

_SMALLEST = 2.0**-24  # float16's smallest number


def can_halve(dtype: torch.dtype, device: torch.device) -> bool:
    """True where such products are fast: float32 arithmetic on an x86 CPU (FBGEMM)."""
    known = torch.backends.quantized.engine in ("fbgemm", "x86")
    return known and device.type == "cpu" and dtype == torch.float32


def loses_nothing(linear: nn.Linear) -> bool:
    """True for a map without offset whose weights are float16 numbers."""
    if linear.bias is not None:
        return False
    return bool((linear.weight.half().float() - linear.weight.float()).abs().max() <= _SMALLEST)


def give_back_memory() -> None:
    """Tell the C library to return what is free to the system, where it can; by itself it keeps hundreds of MB."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


class HalfLinear(nn.Module):
    """A linear map without offset, for inference only."""

    def __init__(self, weight: Tensor) -> None:
        """Keep a copy of float[out, in]."""
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of quantization, which this is not
            self._packed = torch.ops.quantized.linear_prepack_fp16(weight.detach().float(), None)

    def forward(self, rows: Tensor) -> Tensor:
        """float32[..., out] of float32[..., in]."""
        assert not rows.requires_grad, "HalfLinear has no gradient"
        return torch.ops.quantized.linear_dynamic_fp16(rows, self._packed)  # type: ignore[no-any-return]

    def __deepcopy__(self, memo: dict[int, Any]) -> HalfLinear:
        """Itself: nothing in it changes."""
        return self


def halve_within(parent: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Module, HalfLinear]]:
    """Replace the linear maps right inside a module as far as that loses nothing; those with adapters stay in place.

    Yields:
        `parent`, the name of the map in it, what stands there now, and the half product.
    """
    from peft.tuners.lora import LoraLayer

    for child, module in list(parent.named_children()):
        adapted = isinstance(module, LoraLayer)
        linear = module.base_layer if adapted else module
        if type(linear) is nn.Linear and loses_nothing(linear):
            half = HalfLinear(linear.weight)
            parent._modules[child] = kept = module if adapted else half
            yield parent, child, kept, half
