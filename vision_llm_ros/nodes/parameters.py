"""ROS parameters out of config dataclasses: names, defaults, units and ranges stand there once."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from vision_llm_ros.config import from_mapping
from vision_llm_ros.errors import ConfigError

T = TypeVar("T")


def declare(node: Node, config: type[Any], read_only: Iterable[str] = ()) -> None:
    """Declare one parameter for each field of a config dataclass.

    Raises:
        ConfigError: a value given at start has the wrong type or is out of range.
    """
    for entry in dataclasses.fields(config):
        declare_one(node, entry.name, _to_ros(entry.default), descriptor_of(entry, entry.name in read_only))


def declare_one(node: Node, name: str, default: Any, descriptor: ParameterDescriptor) -> None:
    """Declare a parameter; `5` is taken for `5.0` where a real number is expected.

    Raises:
        ConfigError: as for `declare`.
    """
    given = node._parameter_overrides.get(name)
    if isinstance(default, float) and given is not None and given.type_ is Parameter.Type.INTEGER:
        node._parameter_overrides[name] = Parameter(name, value=float(given.value))
    try:
        node.declare_parameter(name, default, descriptor)
    except Exception as error:  # rclpy has five unrelated types for this
        raise ConfigError(f"Parameter {name}: {error} ({descriptor.description})") from error


def descriptor_of(entry: dataclasses.Field[Any], read_only: bool = False) -> ParameterDescriptor:
    """Description, range and choices of a config field."""
    low, high, choices = (entry.metadata[key] for key in ("low", "high", "choices"))
    described = ParameterDescriptor(name=entry.name, description=entry.metadata["description"], read_only=read_only)
    if choices:
        described.additional_constraints = f"one of {', '.join(choices)}"
    if low is None and high is None:
        return described
    if isinstance(entry.default, float):
        most = sys.float_info.max
        bounds = FloatingPointRange(
            from_value=-most if low is None else float(low), to_value=most if high is None else float(high)
        )
        described.floating_point_range = [bounds]
    else:
        most_int = 2**63 - 1
        described.integer_range = [
            IntegerRange(
                from_value=-most_int if low is None else low, to_value=most_int if high is None else high, step=1
            )
        ]
    return described


def read(node: Node, config: type[T], changes: Sequence[Parameter] = ()) -> T:
    """Build a config from the node's parameters, with `changes` not yet applied to it.

    Raises:
        ConfigError: a value is out of range or contradicts another.
    """
    names = [entry.name for entry in dataclasses.fields(config)]  # type: ignore[arg-type]
    values = {name: _from_ros(node.get_parameter(name).value) for name in names}
    values |= {change.name: _from_ros(change.value) for change in changes if change.name in values}
    return from_mapping(config, values)


def refuse_changes(
    node: Node, changes: Sequence[Parameter], configs: Sequence[type[Any]], fixed: frozenset[str]
) -> SetParametersResult:
    """Judge a change: out-of-range values and, with a reason, parameters that are fixed at the moment."""
    for change in changes:
        if change.name in fixed:
            reason = f"{change.name} takes effect on configure; deactivate and clean up the node first"
            return SetParametersResult(successful=False, reason=reason)
    try:
        for config in configs:
            read(node, config, changes)
    except ConfigError as error:
        return SetParametersResult(successful=False, reason=str(error))
    return SetParametersResult(successful=True)


def _to_ros(value: Any) -> Any:
    # rclpy takes an empty list for one of bytes; an empty name stands for none.
    return (list(value) or [""]) if isinstance(value, tuple) else value


def _from_ros(value: Any) -> Any:
    return tuple(entry for entry in value if entry) if isinstance(value, list) else value
