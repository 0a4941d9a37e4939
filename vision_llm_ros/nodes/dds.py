"""Fast DDS as this package needs it: a shared-memory segment that holds camera frames."""

from __future__ import annotations

import os
from collections.abc import MutableMapping

from vision_llm_ros.resources import config_path

# ROS 2 up to Jazzy (Fast DDS 2) reads the second name, later ones (Fast DDS 3) the first.
VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")


def use_shipped_profile(environment: MutableMapping[str, str] = os.environ) -> str:
    """Point Fast DDS to config/fastdds.xml unless the user chose a profile; call it before `rclpy.init`.

    Fast DDS's default segment of 0.5 MB loses nearly every VGA frame sent best-effort between
    processes. Other RMW implementations ignore the variables.

    Returns:
        Path of the profile in use.
    Raises:
        ConfigError: config/fastdds.xml is not installed.
    """
    chosen = next((environment[name] for name in VARIABLES if environment.get(name)), "")
    profile = chosen or str(config_path("fastdds.xml"))
    for name in VARIABLES:
        environment[name] = environment.get(name) or profile
    return profile
