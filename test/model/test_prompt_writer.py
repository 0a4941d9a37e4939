from __future__ import annotations

from pathlib import Path

import pytest
import torch
from miniature import build_tiny

from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.model.prompt_writer import IGNORED, Prompt, PromptWriter
from vision_llm_ros.model.qformer_image import Seen

TAGS = ("dog", "red", "walking", "street")


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> VisionLLM:
    return build_tiny(tiny_folder)


@pytest.fixture(scope="module")
def writer(model: VisionLLM) -> PromptWriter:
    found = PromptWriter(model.llm, 0, TAGS)
    found.list_tokens(torch.arange(20, 60))
    return found


@pytest.fixture(scope="module")
def prompt(model: VisionLLM) -> Prompt:
    torch.manual_seed(0)
    embeds = torch.randn(1, 6, model.llm.width)
    return Prompt(embeds, torch.tensor([[True, True, True, True, False, True]]))


def test_layers_are_loaded_when_first_something_is_written(tiny_folder: Path, prompt: Prompt) -> None:
    model = build_tiny(tiny_folder)
    before = model.llm.num_layers
    writer = PromptWriter(model.llm, 0, TAGS)
    assert model.llm.num_layers == before < 3
    with torch.inference_mode():
        writer.write(model.llm, prompt, torch.tensor([5, 6]), 1, 1, 2)
    assert model.llm.num_layers == 3
    assert not any(parameter.is_inference() for parameter in model.llm.parameters())


def test_the_list_of_tokens_is_kept_in_bits(writer: PromptWriter, model: VisionLLM) -> None:
    assert writer.choice.tolist() == sorted({*range(20, 60), writer.end})
    other = PromptWriter(model.llm, 0, TAGS)
    assert len(other.choice) == model.llm.base.config.vocab_size
    other.load_state_dict({key: value.half() for key, value in writer.state_dict().items()})
    assert torch.equal(other.choice, writer.choice)


def test_only_listed_tokens_are_written(model: VisionLLM, writer: PromptWriter, prompt: Prompt) -> None:
    texts = writer.write(model.llm, prompt, torch.tensor([5, 6]), 3, 4, 8)
    listed = {str(model.llm.tokenizer.decode([token])) for token in writer.choice.tolist()}
    assert texts
    for each in texts:
        ids = model.llm.tokenizer(each.text, add_special_tokens=False)["input_ids"]
        assert each.text
        assert set(each.text) <= set("".join(listed)), ids


def test_beams_come_likeliest_first(model: VisionLLM, writer: PromptWriter, prompt: Prompt) -> None:
    texts = writer.write(model.llm, prompt, torch.tensor([5, 6]), 4, 2, 6)
    scores = [each.score for each in texts]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 1 for score in scores)
    assert 1 <= len(texts) <= 4


def test_one_beam_is_the_greedy_text(model: VisionLLM, writer: PromptWriter, prompt: Prompt) -> None:
    """Step by step without a cache."""
    asked = torch.tensor([5, 6])
    (found,) = writer.write(model.llm, prompt, asked, 1, 5, 5)
    chosen: list[int] = []
    for _ in range(5):
        embeds = torch.cat([prompt.embeds, model.llm.embed_text(torch.tensor([[*asked.tolist(), *chosen]]))], 1)
        length = embeds.shape[1]
        attend = torch.ones(1, length, length, dtype=torch.bool).tril()
        attend[:, :, 4] = False
        with torch.no_grad(), model.llm.using(None):
            states, _ = model.llm.run(embeds, torch.arange(length)[None], attend)
        logits = model.llm.text_logits(states[0, -1], writer.choice)
        logits[writer.choice == writer.end] = -torch.inf
        chosen.append(int(writer.choice[int(logits.argmax())]))
    assert found.text == str(model.llm.tokenizer.decode(chosen)).strip()


def test_a_masked_name_changes_nothing(model: VisionLLM, writer: PromptWriter, prompt: Prompt) -> None:
    other = Prompt(prompt.embeds.clone(), prompt.real)
    other.embeds[:, 4] += 5
    first, second = (writer.write(model.llm, each, torch.tensor([5, 6]), 2, 3, 6) for each in (prompt, other))
    assert [each.text for each in first] == [each.text for each in second]
    seen = Prompt(other.embeds, torch.ones(1, 6, dtype=torch.bool))
    third = writer.write(model.llm, seen, torch.tensor([5, 6]), 2, 3, 6)
    assert [each.score for each in third] != pytest.approx([each.score for each in first])


def test_texts_side_by_side_do_not_see_each_other(model: VisionLLM, writer: PromptWriter, prompt: Prompt) -> None:
    """The loss of two texts is the mean of their losses alone."""
    read = torch.tensor([[[7, 30, 31], [7, 40, 41]]])
    wanted = torch.tensor([[[30, 31, 32], [40, 41, 42]]])
    asked = torch.tensor([5])
    both = writer(model.llm, prompt, asked, read, wanted)
    alone = [writer(model.llm, prompt, asked, read[:, [i]], wanted[:, [i]]) for i in range(2)]
    assert both.item() == pytest.approx(torch.stack(alone).mean().item(), abs=1e-4)


def test_rank_sums_what_the_loss_averages(model: VisionLLM, writer: PromptWriter, prompt: Prompt) -> None:
    read = torch.tensor([[[5, 7, 30], [5, 7, 40]]])
    wanted = torch.tensor([[[IGNORED, 30, 32], [IGNORED, 40, 42]]])
    asked = torch.tensor([9, 8])
    sums = writer.rank(model.llm, prompt, asked, read, wanted)
    loss = writer(model.llm, prompt, asked, read, wanted)
    assert -float(sums.sum()) / 4 == pytest.approx(loss.item(), abs=1e-4)


def test_the_base_learns_nothing(model: VisionLLM, writer: PromptWriter, prompt: Prompt) -> None:
    soft = prompt.embeds.clone().requires_grad_(True)
    read, wanted = torch.tensor([[[7, 30]]]), torch.tensor([[[30, 31]]])
    writer(model.llm, Prompt(soft, prompt.real), torch.tensor([5]), read, wanted).backward()
    assert soft.grad is not None
    assert soft.grad[:, :4].abs().sum() > 0
    assert all(parameter.grad is None for parameter in model.llm.base.parameters())


def test_sure_objects_are_named_and_likely_words_follow(model: VisionLLM, writer: PromptWriter) -> None:
    semantics = torch.full((1, 3, 80), -9.0)
    semantics[0, 1, 16] = 9.0
    seen = Seen(torch.zeros(1, 2, 2, 4), semantics, torch.zeros(1, 3, 4))
    found = writer.prompt(torch.zeros(1, 2, model.llm.width), seen, torch.tensor([[0.1, 0.9, 0.2, 0.3]]))
    assert found.real.tolist() == [[True, True, True, False, False, True, True, True, True]]
    assert torch.allclose(found.embeds[0, 2], writer.names[16], atol=1e-4)
    assert torch.equal(found.embeds[0, 5], writer.words[1])
