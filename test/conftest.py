from __future__ import annotations

import os
from pathlib import Path

import pytest
from fakes import FakeEngine

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
