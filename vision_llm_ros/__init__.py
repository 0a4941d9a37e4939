"""Language-driven camera perception for ROS 2: one vision LLM, five systems, honest results."""

import os
from pkgutil import extend_path
from typing import TYPE_CHECKING

# A robot's cores are shared. OpenMP threads that spin while they wait for one that does not run made a frame take
# 40 times as long on two busy cores; sleeping ones cost nothing. Read when torch is loaded, hence here.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Run from a source tree, the generated half (msg, srv, action and their type support)
# is the one that pip or colcon installed.
__path__ = extend_path(__path__, __name__)
__version__: str

if not TYPE_CHECKING:

    def __getattr__(name: str) -> str:
        if name == "__version__":
            from vision_llm_ros.resources import package_version

            return package_version()
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
