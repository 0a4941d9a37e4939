from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
import torch

from vision_llm_ros.config import RuntimeConfig
from vision_llm_ros.errors import ConfigError
from vision_llm_ros.runtime import hardware


def test_fastest_dtype_is_one_of_two_and_quickly_known() -> None:
    hardware.fastest_dtype.cache_clear()
    started = time.perf_counter()
    assert hardware.fastest_dtype("cpu") in (torch.float32, torch.bfloat16)
    assert time.perf_counter() - started < 5
    assert hardware.fastest_dtype("cpu") is hardware.fastest_dtype("cpu")


@pytest.mark.parametrize("faster", [torch.float32, torch.bfloat16])
def test_the_faster_arithmetic_is_taken(faster: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    hardware.fastest_dtype.cache_clear()
    monkeypatch.setattr(hardware, "_time_products", lambda device, dtype: 1.0 if dtype is faster else 2.0)
    assert hardware.choose_dtype("auto", torch.device("cpu")) is faster
    hardware.fastest_dtype.cache_clear()


def test_a_named_arithmetic_is_taken_without_a_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "_time_products", None)
    assert hardware.choose_dtype("float16", torch.device("cpu")) is torch.float16


@pytest.mark.parametrize("name", ["tpu", "cuda:x", "", "mps", "meta"])
def test_an_unknown_device_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"device: expected auto, cpu or cuda:N, got"):
        hardware.choose_device(name)


@pytest.mark.parametrize(("count", "wanted"), [(0, "cuda:0"), (0, "cuda"), (2, "cuda:2")])
def test_a_cuda_device_that_is_not_there_is_refused(count: int, wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    with pytest.raises(ConfigError, match=f"'{wanted}' asked for, but this PyTorch sees {count} CUDA devices"):
        hardware.choose_device(wanted)


def test_auto_takes_the_gpu_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert hardware.choose_device("auto") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert hardware.choose_device("auto") == torch.device("cuda:0")


def test_threads_are_those_asked_for_or_one_per_core() -> None:
    before = torch.get_num_threads()
    try:
        assert hardware.set_threads(RuntimeConfig(threads=1)) == torch.get_num_threads() == 1
        assert hardware.set_threads(RuntimeConfig()) == len(os.sched_getaffinity(0))
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("given", "expected"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_waiting_threads_sleep_unless_the_user_says_otherwise(given: str | None, expected: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    if given:
        environment["OMP_WAIT_POLICY"] = given
    code = "import os, sys, vision_llm_ros; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.split() == [expected, "False"]
