from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest
from bench import Bench
from fakes import FakeEngine

numbers = itertools.count()


@pytest.fixture(scope="module")
def ros_context() -> Iterator[None]:
    import rclpy

    from vision_llm_ros.nodes.dds import use_shipped_profile

    use_shipped_profile()
    rclpy.init()
    yield
    rclpy.try_shutdown()


@pytest.fixture
def start_bench(ros_context: None, fake_engine: FakeEngine) -> Iterator[Callable[..., Bench]]:
    """Start a perception node with these parameters, in a namespace of its own, and a client beside it."""
    started: list[Bench] = []

    def start(**parameters: object) -> Bench:
        started.append(Bench(f"bench{next(numbers)}", fake_engine, parameters))
        return started[-1]

    yield start
    fake_engine.gate.set()
    for bench in started:
        bench.close()


@pytest.fixture
def bench(start_bench: Callable[..., Bench]) -> Bench:
    """An active node with one raw camera that sees its client."""
    return start_bench().ready()
