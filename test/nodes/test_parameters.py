from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import pytest
from rclpy.node import Node
from rclpy.parameter import Parameter

from vision_llm_ros.config import NodeConfig, RuntimeConfig
from vision_llm_ros.errors import ConfigError
from vision_llm_ros.nodes import parameters

pytestmark = pytest.mark.ros


@pytest.fixture
def make_node(ros_context: None) -> Iterator[Callable[..., Node]]:
    made: list[Node] = []

    def make(**overrides: object) -> Node:
        values = [Parameter(name, value=value) for name, value in overrides.items()]
        made.append(Node("parameters", parameter_overrides=values))
        return made[-1]

    yield make
    for node in made:
        node.destroy_node()


def test_defaults_equal_those_of_the_config(make_node: Callable[..., Node]) -> None:
    node = make_node()
    for config in (NodeConfig, RuntimeConfig):
        parameters.declare(node, config)
        assert parameters.read(node, config) == config()


def test_configs_share_no_name() -> None:
    names = [entry.name for config in (NodeConfig, RuntimeConfig) for entry in dataclasses.fields(config)]
    assert len(set(names)) == len(names) and "model" not in names


def test_values_given_at_start_are_read(make_node: Callable[..., Node]) -> None:
    node = make_node(cameras=["front", "rear"], default_rate_hz=5, max_pixels=100)
    parameters.declare(node, NodeConfig)
    config = parameters.read(node, NodeConfig)
    assert config.cameras == ("front", "rear") and config.max_pixels == 100
    assert config.default_rate_hz == 5.0 and isinstance(config.default_rate_hz, float)


@pytest.mark.parametrize(
    ("overrides", "named"),
    [({"max_live_commands": 0}, "max_live_commands"), ({"default_rate_hz": "fast"}, "default_rate_hz")],
)
def test_bad_value_at_start_is_an_error_naming_the_parameter(
    make_node: Callable[..., Node], overrides: dict[str, object], named: str
) -> None:
    with pytest.raises(ConfigError, match=named):
        parameters.declare(make_node(**overrides), NodeConfig)


def test_choices_are_kept(make_node: Callable[..., Node]) -> None:
    node = make_node(image_transport="theora")
    parameters.declare(node, NodeConfig)
    with pytest.raises(ConfigError, match="raw, compressed"):
        parameters.read(node, NodeConfig)


def test_descriptors_tell_unit_and_range(make_node: Callable[..., Node]) -> None:
    node = make_node()
    parameters.declare(node, NodeConfig, read_only=("autostart",))
    rate = node.describe_parameter("default_rate_hz")
    assert "Hz" in rate.description and rate.floating_point_range[0].to_value == 1000.0
    commands = node.describe_parameter("max_live_commands").integer_range[0]
    assert (commands.from_value, commands.to_value) == (1, 64)
    assert node.describe_parameter("autostart").read_only
    assert "raw, compressed" in node.describe_parameter("image_transport").additional_constraints


def test_change_of_a_fixed_parameter_is_refused_with_the_way_out(make_node: Callable[..., Node]) -> None:
    node = make_node()
    parameters.declare(node, NodeConfig)
    change = [Parameter("max_pixels", value=5)]
    refused = parameters.refuse_changes(node, change, (NodeConfig,), frozenset({"max_pixels"}))
    assert not refused.successful and "clean up" in refused.reason
    assert parameters.refuse_changes(node, change, (NodeConfig,), frozenset()).successful
