from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from miniature import write_bert, write_llama

from vision_llm_ros.errors import ConfigError, WeightsError
from vision_llm_ros.model.half_products import HalfLinear, can_halve
from vision_llm_ros.model.llm import HALVED, LanguageModel


@pytest.fixture(scope="module")
def checkpoint(tiny_folder: Path) -> str:
    return str(tiny_folder / "llama")


@pytest.fixture
def bare(checkpoint: str) -> LanguageModel:
    return LanguageModel(checkpoint).eval()


def adapted(checkpoint: str, name: str = "detect") -> LanguageModel:
    """With an adapter that changes something: its second factor starts at zero."""
    model = LanguageModel(checkpoint)
    model.add_adapter(name, 4, 8, 0.0)
    torch.manual_seed(0)
    for key, tensor in model.adapter_state(name).items():
        tensor.data.normal_(0, 0.3) if "lora_B" in key else None
    return model.eval()


def causal(batch: int, length: int) -> torch.Tensor:
    return torch.ones(batch, length, length, dtype=torch.bool).tril()


def forward(model: LanguageModel, embeds: torch.Tensor) -> torch.Tensor:
    batch, length = embeds.shape[:2]
    return model.run(embeds, torch.arange(length).expand(batch, -1), causal(batch, length))[0]


@torch.inference_mode()
def test_run_matches_transformers(bare: LanguageModel) -> None:
    ids = torch.randint(0, 300, (2, 9))
    theirs = bare.base(input_ids=ids).last_hidden_state
    assert torch.allclose(forward(bare, bare.embed_text(ids)), theirs, atol=1e-5)


@torch.inference_mode()
def test_first_layers_match_transformers_hidden_states(checkpoint: str, bare: LanguageModel) -> None:
    two = LanguageModel(checkpoint, num_layers=2).eval()
    ids = torch.randint(0, 300, (1, 7))
    deep = bare.base(input_ids=ids, output_hidden_states=True).hidden_states
    assert torch.allclose(forward(two, two.embed_text(ids)), bare.base.norm(deep[2]), atol=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize("split", [1, 5])
def test_cached_run_matches_uncached(bare: LanguageModel, split: int) -> None:
    embeds = torch.randn(2, 8, bare.width)
    whole = forward(bare, embeds)
    position, mask = torch.arange(8).expand(2, -1), causal(2, 8)
    _, past = bare.run(embeds[:, :split], position[:, :split], mask[:, :split, :split])
    rest, grown = bare.run(embeds[:, split:], position[:, split:], mask[:, split:], past)
    assert torch.allclose(rest, whole[:, split:], atol=1e-5)
    assert grown[0][0].shape[2] == 8
    assert past[0][0].shape[2] == split, "the past of a command serves many frames and must not grow"


@torch.inference_mode()
def test_one_past_serves_a_batch(bare: LanguageModel) -> None:
    prefix, rest = torch.randn(1, 4, bare.width), torch.randn(3, 2, bare.width)
    _, past = bare.run(prefix, torch.arange(4)[None], causal(1, 4))
    mask = torch.ones(3, 2, 6, dtype=torch.bool).tril(4)
    together, _ = bare.run(rest, torch.arange(4, 6).expand(3, -1), mask, past)
    whole = forward(bare, torch.cat([prefix.expand(3, -1, -1), rest], 1))
    assert torch.allclose(together, whole[:, 4:], atol=1e-5)


@torch.inference_mode()
def test_disabled_adapter_leaves_the_base_model_bit_identical(checkpoint: str, bare: LanguageModel) -> None:
    model = adapted(checkpoint)
    embeds = torch.randn(2, 6, bare.width)
    plain = forward(bare, embeds)
    with model.using(None):
        assert torch.equal(forward(model, embeds), plain)
    with model.using("detect"):
        assert not torch.allclose(forward(model, embeds), plain, atol=1e-3)


def test_training_an_adapter_leaves_the_base_parameters_bit_identical(checkpoint: str, bare: LanguageModel) -> None:
    model = adapted(checkpoint)
    before = model.base_hash()
    assert before == bare.base_hash()
    embeds = torch.randn(1, 6, bare.width)
    adapter_before = {key: value.clone() for key, value in model.adapter_state("detect").items()}
    optimizer = torch.optim.AdamW([p for n, p in model.base.named_parameters() if ".detect." in n], lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        forward(model, embeds).square().sum().backward()
        optimizer.step()
    assert model.base_hash() == before
    after = model.adapter_state("detect")
    assert all(not torch.equal(value, after[key]) for key, value in adapter_before.items())
    with torch.inference_mode(), model.using(None):
        assert torch.equal(forward(model, embeds), forward(bare, embeds))


def test_base_hash_sees_a_single_changed_bit(bare: LanguageModel) -> None:
    before = bare.base_hash()
    weight = bare.base.layers[1].mlp.up_proj.weight
    weight.data.view(torch.int32)[0, 0] ^= 1
    assert bare.base_hash() != before


@torch.inference_mode()
def test_named_adapters_do_not_mix(checkpoint: str) -> None:
    model = adapted(checkpoint)
    embeds = torch.randn(1, 5, model.width)
    with model.using("detect"):
        alone = forward(model, embeds)
    model.add_adapter("caption", 2, 4, 0.0)
    for key, tensor in model.adapter_state("caption").items():
        tensor.data.fill_(0.1 if "lora_B" in key else 0.2)
    model.eval()
    with model.using("detect"):
        assert torch.equal(forward(model, embeds), alone)
    with model.using("caption"):
        assert not torch.allclose(forward(model, embeds), alone, atol=1e-3)
    assert model.adapter_state("detect").keys() == model.adapter_state("caption").keys()


@torch.inference_mode()
def test_adapter_state_moves_to_another_model(checkpoint: str) -> None:
    first, second = adapted(checkpoint), LanguageModel(checkpoint)
    second.add_adapter("detect", 4, 8, 0.0)
    second.load_adapter_state("detect", first.adapter_state("detect"))
    embeds = torch.randn(1, 5, first.width)
    with first.using("detect"), second.eval().using("detect"):
        assert torch.equal(forward(first, embeds), forward(second, embeds))


def test_adapter_of_another_rank_or_name_is_refused(checkpoint: str) -> None:
    model = adapted(checkpoint)
    state = model.adapter_state("detect")
    with pytest.raises(WeightsError, match=r"has shape \[3, 48\], not \[4, 48\]"):
        model.load_adapter_state("detect", {k: v[:3] if "lora_A" in k else v[:, :3] for k, v in state.items()})
    with pytest.raises(WeightsError, match="do not match"):
        model.load_adapter_state("detect", {"other": torch.zeros(1), **state})


def test_rank_zero_adds_nothing(checkpoint: str, bare: LanguageModel) -> None:
    model = LanguageModel(checkpoint).eval()
    model.add_adapter("detect", 0, 8, 0.0)
    assert model.adapter_state("detect") == {}
    with model.using("detect"), torch.inference_mode():
        embeds = torch.randn(1, 3, model.width)
        assert torch.equal(forward(model, embeds), forward(bare, embeds))


def test_weights_in_bfloat16_keep_their_adapters_in_float32(checkpoint: str) -> None:
    model = LanguageModel(checkpoint, dtype=torch.bfloat16)
    model.add_adapter("detect", 4, 8, 0.0)
    assert model.base.embed_tokens.weight.dtype is torch.bfloat16
    assert {value.dtype for value in model.adapter_state("detect").values()} == {torch.float32}
    exact = LanguageModel(checkpoint).eval()
    embeds = torch.randn(1, 6, model.width)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        coarse = forward(model.eval(), embeds)
    fine = forward(exact, embeds)
    assert torch.nn.functional.cosine_similarity(coarse.float(), fine, dim=-1).min() > 0.98


def test_text_is_read_by_the_checkpoints_own_tokenizer(bare: LanguageModel) -> None:
    ids = bare.tokenizer("find the cup", add_special_tokens=False)["input_ids"]
    assert bare.tokenizer.decode(ids) == "find the cup"
    assert bare.embed_text(torch.tensor(ids)).shape == (len(ids), bare.width)


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"LLaMA-architecture model, got 'bert'"):
        LanguageModel(str(write_bert(tmp_path / "bert")))


def test_a_checkpoint_that_lacks_tensors_is_refused(tmp_path: Path) -> None:
    folder = write_llama(tmp_path / "llama", layers=1)
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(config.replace('"num_hidden_layers": 1', '"num_hidden_layers": 2'))
    with pytest.raises(WeightsError, match=r"lacks 9 tensors, e\.g\. layers\.1\."):
        LanguageModel(str(folder))


def test_a_truncated_checkpoint_is_refused(tmp_path: Path) -> None:
    folder = write_llama(tmp_path / "llama", layers=1)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(WeightsError, match=r"Cannot load language model .*restore the folder's files"):
        LanguageModel(str(folder))


@pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is not None, reason="bitsandbytes is installed")
def test_quantization_without_bitsandbytes_says_what_to_install(checkpoint: str) -> None:
    with pytest.raises(ConfigError, match="pip install bitsandbytes"):
        LanguageModel(checkpoint, quantization="4bit")


def test_quantization_without_cuda_is_refused(checkpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vision_llm_ros.model.llm.importlib.util.find_spec", lambda name: object())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="llm_quantization=8bit needs a CUDA device"):
        LanguageModel(checkpoint, quantization="8bit")


@torch.inference_mode()
def test_deepening_adds_layers_and_keeps_an_adapter_at_its_depth(checkpoint: str, bare: LanguageModel) -> None:
    model = LanguageModel(checkpoint, num_layers=2)
    model.add_adapter("detect", 4, 8, 0.0)
    for key, tensor in model.adapter_state("detect").items():
        tensor.data.normal_(0, 0.3) if "lora_B" in key else None
    embeds = bare.embed_text(torch.randint(0, 300, (1, 6)))
    with model.eval().using("detect"):
        before = forward(model, embeds)
    state = {key: tensor.clone() for key, tensor in model.adapter_state("detect").items()}
    model.deepen()
    assert model.num_layers == 3
    with model.using("detect"):
        assert torch.equal(forward(model, embeds), before)
    with model.using(None):
        assert torch.equal(forward(model, embeds), forward(bare, embeds))
    assert all(torch.equal(tensor, state[key]) for key, tensor in model.adapter_state("detect").items())


@torch.inference_mode()
def test_adapters_of_different_depth_live_side_by_side(checkpoint: str) -> None:
    model = LanguageModel(checkpoint).eval()
    model.add_adapter("shallow", 4, 8, 0.0, num_layers=1)
    model.add_adapter("deep", 4, 8, 0.0, targets=("q_proj", "v_proj"))
    assert {key.split(".")[1] for key in model.adapter_state("shallow")} == {"0"}
    assert {key.split(".")[1] for key in model.adapter_state("deep")} == {"0", "1", "2"}
    embeds = model.embed_text(torch.randint(0, 300, (1, 5)))
    with model.using("shallow"):
        shallow = forward(model, embeds)
    with model.using(None, num_layers=1):
        assert torch.equal(forward(model, embeds), shallow)
    with model.using("deep"):
        assert not torch.allclose(forward(model, embeds), shallow)


@torch.inference_mode()
def test_text_logits_match_transformers(checkpoint: str, bare: LanguageModel) -> None:
    from transformers import LlamaForCausalLM

    ids = torch.randint(0, 300, (1, 7))
    theirs = LlamaForCausalLM.from_pretrained(checkpoint).eval()(input_ids=ids).logits
    assert torch.allclose(bare.text_logits(forward(bare, bare.embed_text(ids))), theirs, atol=1e-4)


def test_a_merged_adapter_answers_the_same_and_learns_on(checkpoint: str) -> None:
    model, plain = adapted(checkpoint), adapted(checkpoint)
    plain.load_adapter_state("detect", model.adapter_state("detect"))
    model.add_adapter("other", 4, 8, 0.0)
    embeds = plain.embed_text(torch.randint(0, 300, (1, 6)))
    base, state = model.base_hash(), {key: tensor.clone() for key, tensor in model.adapter_state("detect").items()}
    with torch.inference_mode():
        model.merge("detect")
        with model.using("detect"):
            with model.using(None):
                untouched = forward(model, embeds)
            merged = forward(model, embeds)
        with plain.using("detect"):
            assert torch.allclose(merged, forward(plain, embeds), atol=1e-4)
        with plain.using(None):
            assert torch.equal(untouched, forward(plain, embeds))
    assert model.base_hash() == base
    assert all(torch.equal(tensor, state[key]) for key, tensor in model.adapter_state("detect").items())
    with model.using("detect"):
        forward(model, embeds).sum().backward()
    assert all(p.grad is not None for key, p in model.base.named_parameters() if "lora_B.detect" in key)


@pytest.mark.skipif(not can_halve(torch.float32, torch.device("cpu")), reason="FBGEMM multiplies on x86 only")
@torch.inference_mode()
def test_halved_products_answer_as_the_base_model_beside_an_adapter(checkpoint: str) -> None:
    model = adapted(checkpoint, "detect")
    for parameter in model.base.parameters():
        parameter.data = parameter.data.bfloat16().float()  # as published weights are
    embeds = torch.randn(2, 6, model.width)
    with model.using(None):
        plain = forward(model, embeds)
    with model.using("detect"):
        detected = forward(model, embeds)
    model.halve()
    model.halve()
    with model.using(HALVED):
        assert sum(isinstance(module, HalfLinear) for module in model.base.modules()) == 3 * 7
        assert torch.allclose(forward(model, embeds), plain, atol=1e-4)
    with model.using("detect"):
        assert torch.allclose(forward(model, embeds), detected, atol=1e-4)
    with model.using(None):
        assert torch.allclose(forward(model, embeds), plain, atol=1e-4)


@torch.inference_mode()
def test_weights_that_would_lose_something_are_not_halved(bare: LanguageModel) -> None:
    embeds = torch.randn(1, 4, bare.width)
    plain = forward(bare, embeds)
    bare.halve()
    with bare.using(HALVED):
        assert torch.equal(forward(bare, embeds), plain)


@pytest.mark.skipif(not can_halve(torch.float32, torch.device("cpu")), reason="FBGEMM multiplies on x86 only")
@torch.inference_mode()
def test_layers_loaded_later_are_halved_too(checkpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vision_llm_ros.model.half_products.loses_nothing", lambda linear: True)
    model = LanguageModel(checkpoint, num_layers=1).eval()
    model.halve()
    model.deepen()
    model.halve()
    assert [type(layer.mlp.up_proj) for layer in model.base.layers] == [HalfLinear] * 3
