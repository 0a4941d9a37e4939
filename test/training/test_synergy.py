from __future__ import annotations

import numpy as np
import pytest
import torch

from vision_llm_ros.config import SynergyConfig
from vision_llm_ros.evaluation.seeds import markdown
from vision_llm_ros.evaluation.synergy import average_precision, compare, measure
from vision_llm_ros.training.synergy import Asked, Synergy, draw, learn, loss_of

CONFIG = SynergyConfig(steps=150, learning_rate=5e-3, batch_size=6, width=8)


def _asked(count: int = 6) -> list[Asked]:
    """Pictures whose first feature marks what the first words mean, whose second what the second ones do."""
    torch.manual_seed(3)
    words = torch.eye(4)[:2]
    items = []
    for _ in range(count):
        features = torch.randn(3, 20, 20)
        cells = features[:2] > 0.5
        items.append(Asked(features.half(), (words, words), (cells, cells)))
    return items


def test_both_modules_learn_from_signals() -> None:
    items = _asked()
    before = measure(Synergy(CONFIG, 3, 4).eval(), items)
    after = measure(learn(CONFIG, items, adversary=True, seed=0), items)
    assert after["detect_ap"] > max(0.8, before["detect_ap"]) and after["mask_ciou"] > max(0.5, before["mask_ciou"])


def test_the_adversary_alone_turns_the_gradient_of_the_shared_part() -> None:
    torch.manual_seed(0)
    network, drawn = Synergy(CONFIG, 3, 4), draw(_asked(), CONFIG, np.random.default_rng(0))
    gradients = []
    for adversary in (False, True):
        network.zero_grad()
        loss_of(network, CONFIG, drawn, adversary).backward()  # type: ignore[no-untyped-call]
        shared, judge = network.signals.shared.weight.grad, network.discriminator.task.weight.grad
        assert shared is not None and judge is not None and judge.abs().sum() > 0
        gradients.append((shared.clone(), judge.clone()))
    assert not torch.allclose(gradients[0][0], gradients[1][0])
    assert torch.allclose(gradients[0][1], gradients[1][1])  # the discriminator learns alike


def test_absent_classes_mean_no_cell() -> None:
    one, other = _asked(1)[0], _asked(1)[0]
    only = Asked(one.features, (torch.eye(4)[:1], one.words[1]), (one.cells[0][:1], one.cells[1]))
    strange = Asked(other.features, (torch.eye(4)[3:], other.words[1]), (other.cells[0][:1], other.cells[1]))
    config = SynergyConfig(batch_size=40, width=8, absent_share=1.0)
    (_, words, cells), _ = draw([only, strange], config, np.random.default_rng(1))
    assert 0 < sum(not some.any() for some in cells) < 40
    assert len(words) == 40


def test_average_precision_is_that_of_the_ranking() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.6], np.float32)
    assert average_precision(scores, np.array([True, True, False, False])) == 1.0
    assert average_precision(scores, np.array([False, True, False, True])) == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert average_precision(scores, np.zeros(4, bool)) == 0.0


def test_the_report_compares_the_arms_over_seeds() -> None:
    lines: list[str] = []
    report = compare(SynergyConfig(steps=2, batch_size=2, width=8), _asked(2), _asked(2), 2, lines.append)
    assert [arm["name"] for arm in report["arms"]] == ["without adversary", "with adversary"]
    assert len(lines) == 4 and all(len(arm["runs"]) == 2 for arm in report["arms"])
    assert "| with adversary |" in markdown(report)
