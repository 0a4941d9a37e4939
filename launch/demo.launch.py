"""A recording as the camera, one typed command, the perception node:

ros2 launch vision_llm_ros demo.launch.py bag:=/path/to/recording say:="watch for people at 2 Hz"
"""

from __future__ import annotations

import json

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, IncludeLaunchDescription, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

PACKAGE = "vision_llm_ros"


def generate_launch_description() -> LaunchDescription:
    perception = PathJoinSubstitution([FindPackageShare(PACKAGE), "launch", "perception.launch.py"])
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "bag", description="rosbag2 recording, picture folder or video that plays the camera"
            ),
            DeclareLaunchArgument("say", default_value="watch for people", description="the command"),
            DeclareLaunchArgument("rate", default_value="1.0", description="speed of the recording"),
            IncludeLaunchDescription(perception),
            OpaqueFunction(function=start_camera_and_command),
        ]
    )


def start_camera_and_command(context: LaunchContext) -> list[Node | ExecuteProcess]:
    bag, say, rate = (LaunchConfiguration(name).perform(context) for name in ("bag", "say", "rate"))
    camera = Node(
        package=PACKAGE,
        executable="player",
        arguments=[bag, "--topic", "image", "--rate", rate, "--wait-for-subscriber"],
        output="screen",
    )
    # JSON is YAML, so any sentence survives the quoting.
    text = json.dumps({"data": say})
    publish = ["ros2", "topic", "pub", "--once", "-w", "1", "command_text", "std_msgs/msg/String", text]
    return [camera, ExecuteProcess(cmd=publish, output="screen")]
