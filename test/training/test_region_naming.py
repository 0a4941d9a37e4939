from __future__ import annotations

import torch

from vision_llm_ros.config import RegionConfig
from vision_llm_ros.evaluation.region_naming import compare
from vision_llm_ros.training.region_naming import Regions


def test_what_lies_in_a_region_tells_its_name_and_the_whole_picture_does_not() -> None:
    torch.manual_seed(0)
    names = torch.arange(120) % 4
    means = torch.nn.functional.one_hot(names, 6).float() + 0.1 * torch.randn(120, 6)
    regions = Regions(means, torch.zeros(120, 6), torch.rand(120, 4), names, torch.eye(8)[:4])
    lines: list[str] = []
    report = compare(RegionConfig(steps=80, batch_size=32, learning_rate=1e-2), regions, regions, 1, lines.append)
    arms = {arm["name"]: arm["mean"]["accuracy"] for arm in report["arms"]}
    assert arms["region token"] > 0.95 and arms["without its place"] > 0.95
    assert arms["whole picture"] < 0.7 and arms["commonest class"] == 0.25
    assert len(lines) == 4
