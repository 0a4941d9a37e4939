"""The real perception process with a model that costs nothing: `python fake_perception.py --ros-args ...`."""

import sys

from fakes import FakeEngine, fake_parse

from vision_llm_ros.nodes import perception

perception.load_engine = lambda preset, runtime: FakeEngine(name=preset)
perception.load_parser = lambda engine: fake_parse
sys.exit(perception.main())
