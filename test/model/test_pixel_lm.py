from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from miniature import build_tiny, pictures

from vision_llm_ros.config import MaskConfig
from vision_llm_ros.language.phrases import Phrase, split_phrases
from vision_llm_ros.language.vocabulary import SEG_TOKENS
from vision_llm_ros.model import weights
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.model.pixel_lm import ADAPTER, Decisions, PixelLM

CONFIG = MaskConfig(candidates=6, width=16, num_heads=2, feedforward=24, grid=8, llm_layers=2, lora_rank=2)
PHRASES = split_phrases("the cup left of the dog and all chairs")


@pytest.fixture(scope="module")
def shared(tiny_folder: Path) -> VisionLLM:
    return build_tiny(tiny_folder)


@pytest.fixture(scope="module")
def network(shared: VisionLLM) -> PixelLM:
    torch.manual_seed(1)
    network = PixelLM(CONFIG, shared)
    network.start(shared.llm, shared.tokenizer.scorer)
    with torch.no_grad():
        for tensor in network.learned(shared.llm).values():
            tensor += torch.randn_like(tensor) * 0.05
    shared.eval()  # the new adapter too
    return network.eval()


def decide(network: PixelLM, shared: VisionLLM, phrases: tuple[Phrase, ...], seed: int = 0) -> Decisions:
    pyramid = shared.backbone(pictures(1, seed=seed))
    return network.decide(shared, pyramid, shared.tokenizer.dense(pyramid[1:]), network.read(shared, phrases))


@torch.no_grad()
def test_every_candidate_is_decided_for_every_phrase(network: PixelLM, shared: VisionLLM) -> None:
    decisions = decide(network, shared, PHRASES)
    assert decisions.logits.shape == (2, 6)
    assert decisions.states.shape == (2, 6, shared.llm.width)


@torch.no_grad()
def test_a_phrase_does_not_change_what_another_one_is_told(network: PixelLM, shared: VisionLLM) -> None:
    """Given the same candidates."""
    both = decide(network, shared, PHRASES)
    layout = both.layout
    attend = layout.attend(layout)[0]
    of_first, of_second = layout.phrase == 0, layout.phrase == 1
    assert not attend[of_first][:, of_second].any()
    assert not attend[of_second][:, of_first].any()


@torch.no_grad()
def test_a_decision_sees_the_image_its_phrase_and_itself_only(network: PixelLM, shared: VisionLLM) -> None:
    layout = decide(network, shared, PHRASES).layout
    attend = layout.attend(layout)[0]
    asked = int((layout.sets == 2).nonzero()[0])
    seen = set(attend[asked].nonzero().flatten().tolist())
    image = set((layout.phrase == -1).nonzero().flatten().tolist())
    words = set(((layout.phrase == 0) & (layout.sets == -1)).nonzero().flatten().tolist())
    assert seen == image | words | {asked}


@torch.no_grad()
def test_seg_tokens_are_always_six_and_independent_of_other_targets(network: PixelLM, shared: VisionLLM) -> None:
    decisions = decide(network, shared, PHRASES)
    three = network.describe(shared, decisions, torch.tensor([[0, 1], [1, 4], [0, 3]]))
    alone = network.describe(shared, decisions, torch.tensor([[1, 4]]))
    assert three.shape[0] == 3
    assert three.shape[1] * three.shape[2] == SEG_TOKENS
    assert torch.allclose(three[1:2], alone, atol=1e-4)


@torch.no_grad()
def test_seg_states_equal_those_of_one_pass_over_everything(network: PixelLM, shared: VisionLLM) -> None:
    """The cache of the first pass stands for its tokens."""
    decisions = decide(network, shared, PHRASES[:1])
    pyramid = shared.backbone(pictures(1))
    question = network.read(shared, PHRASES[:1])
    images = network.image_tokens(pyramid, decisions.candidates)
    evidence = network.weigh(decisions.candidates, question)[0]
    asked = (images + network.from_evidence(evidence[0]))[2:3]
    whole = torch.cat([images, question.pieces[0], asked, network.rows[: SEG_TOKENS - 1]])
    count, behind = len(images), len(whole) - len(images)
    attend = torch.ones(len(whole), len(whole), dtype=torch.bool).tril()
    attend[:count, :count] = True
    order = torch.cat([torch.arange(count), count + torch.arange(behind)])
    with shared.llm.using(ADAPTER):
        states, _ = shared.llm.run(whole[None], order[None], attend[None])
    expected = network.seg_mlp(network.head_norm(states[0, -SEG_TOKENS:]))
    found = network.describe(shared, decisions, torch.tensor([[0, 2]]))
    assert torch.allclose(found.flatten(0, 2), expected, atol=1e-4)


def test_everything_that_learns_gets_a_gradient(network: PixelLM, shared: VisionLLM) -> None:
    model, net = copy.deepcopy(shared), copy.deepcopy(network)
    pyramid = model.backbone(pictures(1))
    decisions = net.decide(model, pyramid, model.tokenizer.dense(pyramid[1:]), net.read(model, PHRASES))
    segs = net.describe(model, decisions, torch.tensor([[0, 1], [1, 2]]))
    drawn = net.draw(pyramid, segs, decisions.candidates.boxes_cxcywh[:2])
    (decisions.logits.sum() + drawn.combined.sigmoid().sum()).backward()
    without = [name for name, parameter in net.named_parameters() if parameter.requires_grad and parameter.grad is None]
    assert without == []


def test_until_it_learns_the_language_model_has_no_say(shared: VisionLLM) -> None:
    model = copy.deepcopy(shared)
    fresh = PixelLM(CONFIG, model).eval()
    model.eval()
    with torch.no_grad():
        decisions = decide(fresh, model, PHRASES)
        weighed = fresh.weigh(decisions.candidates, fresh.read(model, PHRASES))[1]
    assert torch.allclose(decisions.logits, weighed, atol=1e-5)


def test_stored_and_loaded_it_answers_the_same(network: PixelLM, shared: VisionLLM, tmp_path: Path) -> None:
    state = {key: value.half().float() for key, value in network.learned(shared.llm).items()}
    weights.fill(network.learned(shared.llm), state, "here")
    weights.save(tmp_path, CONFIG, network.learned(shared.llm), ["segment"], {})
    model = copy.deepcopy(shared)
    other = PixelLM(weights.read_manifest(tmp_path, MaskConfig).config, model).eval()
    weights.fill(other.learned(model.llm), weights.load(tmp_path, ["network", "adapter"]), "there")
    model.eval()
    with torch.no_grad():
        assert torch.allclose(decide(other, model, PHRASES).logits, decide(network, shared, PHRASES).logits, atol=1e-4)
