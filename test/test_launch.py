"""The launch files and the parameter file, read without a ROS installation."""

from __future__ import annotations

import dataclasses
import json
import runpy
import sys
from types import ModuleType
from typing import Any

import pytest
import yaml

from vision_llm_ros.config import NodeConfig, RuntimeConfig
from vision_llm_ros.resources import share_path


class Recorded:
    """Stands for any launch action: keeps its arguments."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args, self.kwargs = args, kwargs


class FakeConfiguration(Recorded):
    def perform(self, context: dict[str, str]) -> str:
        return context[self.args[0]]


@pytest.fixture(autouse=True)
def fake_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The names the launch files import; the real packages come with a ROS installation only."""
    names = {
        "launch": ["LaunchContext", "LaunchDescription"],
        "launch.actions": ["DeclareLaunchArgument", "ExecuteProcess", "IncludeLaunchDescription", "OpaqueFunction"],
        "launch.substitutions": ["LaunchConfiguration", "PathJoinSubstitution"],
        "launch_ros": [],
        "launch_ros.actions": ["LifecycleNode", "Node"],
        "launch_ros.substitutions": ["FindPackageShare"],
    }
    for module_name, classes in names.items():
        module = ModuleType(module_name)
        for name in classes:
            base = FakeConfiguration if name == "LaunchConfiguration" else Recorded
            setattr(module, name, type(name, (base,), {}))
        monkeypatch.setitem(sys.modules, module_name, module)


def load(name: str) -> dict[str, Any]:
    return runpy.run_path(str(share_path() / "launch" / name))


def arguments(launch_file: dict[str, Any]) -> dict[str, Any]:
    entities = launch_file["generate_launch_description"]().args[0]
    return {entity.args[0]: entity.kwargs for entity in entities if type(entity).__name__ == "DeclareLaunchArgument"}


GIVEN = {
    "namespace": "cell1",
    "params_file": "mine.yaml",
    "image": "/camera/image_raw",
    "image_transport": "",
    "use_sim_time": "",
    "autostart": "",
    "log_level": "debug",
}


def test_perception_launch_declares_its_arguments_with_descriptions() -> None:
    declared = arguments(load("perception.launch.py"))
    assert set(declared) == set(GIVEN)
    assert all(kwargs["description"] for kwargs in declared.values())


def test_an_argument_not_given_sets_no_parameter() -> None:
    (node,) = load("perception.launch.py")["start_node"](GIVEN)
    assert node.kwargs["parameters"][1] == {}


def test_image_argument_remaps_the_image_topic() -> None:
    (node,) = load("perception.launch.py")["start_node"](GIVEN)
    ((source, target),) = node.kwargs["remappings"]
    assert (source, target.perform(GIVEN)) == ("image", "/camera/image_raw")


def test_given_arguments_become_parameters_of_the_right_type() -> None:
    context = GIVEN | {"use_sim_time": "true", "autostart": "false", "image_transport": "compressed"}
    (node,) = load("perception.launch.py")["start_node"](context)
    assert node.kwargs["parameters"][1] == {"use_sim_time": True, "autostart": False, "image_transport": "compressed"}


def test_parameters_the_launch_file_sets_exist() -> None:
    context = GIVEN | {"autostart": "false", "image_transport": "compressed"}
    fields = {field.name: field for field in dataclasses.fields(NodeConfig)}
    for name, value in load("perception.launch.py")["chosen_parameters"](context).items():
        assert type(value) is type(fields[name].default)
        assert value in (fields[name].metadata["choices"] or (True, False))


def test_demo_launch_plays_the_recording_and_quotes_any_sentence() -> None:
    launch_file = load("demo.launch.py")
    assert {"bag", "say", "rate"} <= set(arguments(launch_file))
    say = 'find "the red cup": now'
    player, command = launch_file["start_camera_and_command"]({"bag": "/data/run 1", "say": say, "rate": "0.5"})
    assert player.kwargs["arguments"][:1] == ["/data/run 1"]
    assert json.loads(command.kwargs["cmd"][-1]) == {"data": say}


def test_parameter_file_shows_the_real_defaults() -> None:
    defaults = {
        field.name: field.default for config in (NodeConfig, RuntimeConfig) for field in dataclasses.fields(config)
    }
    text = (share_path() / "config" / "perception.yaml").read_text(encoding="utf-8")
    shown = yaml.safe_load(text)["/**/perception"]["ros__parameters"]
    assert shown == {name: defaults.get(name) for name in shown}
    assert {name: type(value) for name, value in shown.items()} == {name: type(defaults[name]) for name in shown}
