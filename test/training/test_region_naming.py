from __future__ import annotations

import numpy as np
import torch

from vision_llm_ros.config import RegionConfig
from vision_llm_ros.evaluation.region_naming import compare
from vision_llm_ros.model.region_token import EVIDENCE, Look, Vocabulary
from vision_llm_ros.training.region_naming import Mark, Regions, draw_regions, learn
from vision_llm_ros.training.region_run import calibrate, held_out, subset


def _regions(count: int = 120) -> Regions:
    """Four kinds of things, told by their features."""
    torch.manual_seed(0)
    names = torch.arange(count) % 4
    means = torch.nn.functional.one_hot(names, 6).float() + 0.1 * torch.randn(count, 6)
    boxes, nothing = torch.rand(count, 4), torch.zeros(count, EVIDENCE)
    look, whole = Look(means.half(), nothing.half(), boxes), Look(torch.zeros(count, 6), nothing, boxes)
    pictures = torch.arange(count) // 6
    return Regions(
        look,
        whole,
        names,
        torch.full((count,), int(Mark.BOX)),
        pictures,
        Vocabulary(torch.eye(8)[:4], torch.eye(80)[:4]),
    )


def test_what_lies_in_a_region_tells_its_name_and_the_whole_picture_does_not() -> None:
    regions, lines = _regions(), list[str]()
    config = RegionConfig(steps=80, batch_size=32, learning_rate=1e-2, hidden_width=8)
    report = compare(config, regions, regions, 1, lines.append)
    arms = {arm["name"]: arm["mean"]["accuracy"] for arm in report["arms"]}
    assert arms["region token"] > 0.95 and arms["without its place"] > 0.95
    assert arms["whole picture"] < 0.7 and arms["without its features"] < 0.7 and arms["commonest class"] == 0.25
    assert len(lines) == 6


def test_pictures_that_choose_the_threshold_are_not_learnt_from() -> None:
    regions, config = _regions(), RegionConfig(held_out=0.25)
    chosen = held_out(regions, config)
    assert chosen.sum() == 30 and torch.equal(chosen, held_out(regions, config))
    kept, left = subset(regions, ~chosen), subset(regions, chosen)
    assert not set(kept.pictures.tolist()) & set(left.pictures.tolist())
    assert len(kept.look.means) == 90 and torch.equal(left.look.boxes, regions.look.boxes[chosen])


def test_rare_things_are_drawn_more_often_than_they_occur() -> None:
    regions = _regions()
    names = torch.where(torch.arange(120) < 110, 0, 1)
    common = Regions(regions.look, regions.whole, names, regions.marks, regions.pictures, regions.vocabulary)
    drawn = names[draw_regions(common, 4000, torch.Generator().manual_seed(0))].numpy()
    assert 0.12 < float(np.mean(drawn == 1)) < 0.35


def test_the_threshold_makes_the_wanted_share_right() -> None:
    regions = _regions()
    token = learn(RegionConfig(steps=60, batch_size=32, learning_rate=1e-2, hidden_width=8), regions, 0)
    threshold = calibrate(token, regions, 0.9)
    with torch.no_grad():
        likely, named = token.names(regions.look.exact(), regions.vocabulary).softmax(-1).max(-1)
    told = likely >= threshold
    assert told.any() and float((named == regions.names)[told].float().mean()) >= 0.9
    assert calibrate(token, regions, 1.1) == 1.0
