from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fakes import FakeEngine

if TYPE_CHECKING:
    from vision_llm_ros.model.detector import VisionLLM

ROOT = Path(__file__).parents[1]
# Before any message class is imported: every field of every message is checked, and this process is alone.
os.environ.update(
    ROS_DOMAIN_ID=str(1 + os.getpid() % 100), ROS_AUTOMATIC_DISCOVERY_RANGE="LOCALHOST", ROS_PYTHON_CHECK_FIELDS="1"
)


@pytest.fixture
def ros_environment() -> dict[str, str]:
    """For child processes: the source tree, a ROS domain of this test process, nothing beyond this machine."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", ""))).rstrip(os.pathsep),
        "ROS_DOMAIN_ID": str(1 + os.getpid() % 100),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_PYTHON_CHECK_FIELDS": "1",
    }


@pytest.fixture
def fake_engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random checkpoints of a language model and a text encoder, in the published file formats."""
    from miniature import tiny_config

    folder = tmp_path_factory.mktemp("tiny")
    tiny_config(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_model(tiny_folder: Path) -> VisionLLM:
    """A whole model in miniature with random weights, in evaluation mode; shared, so not to be changed."""
    from miniature import build_tiny

    return build_tiny(tiny_folder)
