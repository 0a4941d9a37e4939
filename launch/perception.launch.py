"""Start the perception node: `ros2 launch vision_llm_ros perception.launch.py image:=/camera/image_raw`.

An argument left empty changes nothing: the parameter file holds, and below it the node's own default.
"""

from __future__ import annotations

from typing import Any

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.substitutions import FindPackageShare

PACKAGE = "vision_llm_ros"
SWITCHES = {"true": True, "false": False}


def generate_launch_description() -> LaunchDescription:
    default_file = PathJoinSubstitution([FindPackageShare(PACKAGE), "config", "perception.yaml"])
    switch = ["", *SWITCHES]
    return LaunchDescription(
        [
            DeclareLaunchArgument("namespace", default_value="", description="namespace of the node and its topics"),
            DeclareLaunchArgument("params_file", default_value=default_file, description="YAML file of parameters"),
            DeclareLaunchArgument(
                "image", default_value="image", description="image topic; the base name if compressed"
            ),
            DeclareLaunchArgument(
                "image_transport", default_value="", choices=["", "raw", "compressed"], description="type of the topic"
            ),
            DeclareLaunchArgument(
                "use_sim_time", default_value="", choices=switch, description="take time from /clock"
            ),
            DeclareLaunchArgument(
                "autostart", default_value="", choices=switch, description="false: wait for a lifecycle manager"
            ),
            DeclareLaunchArgument("log_level", default_value="info", description="debug, info, warn, error or fatal"),
            OpaqueFunction(function=start_node),
        ]
    )


def start_node(context: LaunchContext) -> list[LifecycleNode]:
    node = LifecycleNode(
        package=PACKAGE,
        executable="perception",
        name="perception",
        namespace=LaunchConfiguration("namespace"),
        parameters=[LaunchConfiguration("params_file"), chosen_parameters(context)],
        remappings=[("image", LaunchConfiguration("image"))],  # the node appends /compressed itself
        arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
        output="screen",
        emulate_tty=True,
    )
    return [node]


def chosen_parameters(context: LaunchContext) -> dict[str, Any]:
    """Parameters whose launch argument was given."""
    names = ("image_transport", "use_sim_time", "autostart")
    given = {name: LaunchConfiguration(name).perform(context) for name in names}
    return {name: SWITCHES.get(value, value) for name, value in given.items() if value}
