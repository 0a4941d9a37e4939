from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from miniature import build_tiny, tiny_config
from tiny import Shapes, write_shapes

from vision_llm_ros.config import TrainConfig
from vision_llm_ros.errors import WeightsError
from vision_llm_ros.interfaces import Task
from vision_llm_ros.model import weights
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.training import start
from vision_llm_ros.training.data import DetectionData
from vision_llm_ros.training.detect import Trainer, learnable

TRAIN = TrainConfig(stage=2, steps=4, batch_size=2, warmup_steps=1, save_every=2, sets=6, polygon_sets=3)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Shapes:
    return write_shapes(tmp_path_factory.mktemp("shapes"))


@pytest.fixture(scope="module")
def data(shapes: Shapes) -> DetectionData:
    return DetectionData(shapes.annotations, shapes.images, [shapes.referring], 96, location_range=32)


@pytest.fixture
def model(tiny_model: VisionLLM) -> VisionLLM:
    return copy.deepcopy(tiny_model)


def quiet(step: int, parts: dict[str, float]) -> None:
    assert all(value == value for value in parts.values()), f"step {step}: {parts}"


def stop_after(last: int) -> Callable[[int, dict[str, float]], None]:
    def progress(step: int, parts: dict[str, float]) -> None:
        if step == last:
            raise KeyboardInterrupt

    return progress


def gradients(model: VisionLLM, data: DetectionData, config: TrainConfig, folder: Path) -> dict[str, float]:
    """Largest gradient of every parameter over one batch of each task; -1 where there is none."""
    trainer = Trainer(model, data, config, folder)
    model.train()
    tasks = [Task.DETECT] if config.stage == 1 else [Task.DETECT, Task.POLYGON, Task.GROUND]
    for task in tasks:
        for batch in data.draw(task, 2, (1, 2, 3)):
            trainer.loss(batch)[0].backward()
    named = {f"tokenizer.{key}": p for key, p in model.tokenizer.named_parameters()}
    named |= {f"decoder.{key}": p for key, p in model.decoder.named_parameters()}
    named |= {f"llm.{key}": p for key, p in model.llm.base.named_parameters()}
    named |= {f"backbone.{key}": p for key, p in model.backbone.named_parameters()}
    named |= {f"text.{key}": p for key, p in model.text_encoder.named_parameters()}
    return {key: -1.0 if p.grad is None else float(p.grad.abs().max()) for key, p in named.items()}


def test_stage_two_reaches_every_parameter_it_should(model: VisionLLM, data: DetectionData, tmp_path: Path) -> None:
    found = gradients(model, data, TRAIN, tmp_path)
    frozen = ("backbone.", "text.", "tokenizer.dense.", "tokenizer.scorer.")
    for key, value in found.items():
        if key.startswith(frozen) or (key.startswith("llm.") and "lora_" not in key):
            assert value == -1, f"{key} is frozen"
        else:
            assert value > 0, f"{key} does not learn"


def test_stage_one_reaches_the_whole_tokenizer_and_nothing_else(
    model: VisionLLM, data: DetectionData, tmp_path: Path
) -> None:
    found = gradients(model, data, replace(TRAIN, stage=1), tmp_path)
    # of a softmax over keys a common shift of all keys is invisible
    blind = {key for key in found if key.endswith("class_key.bias")}
    for key, value in found.items():
        if key.startswith("tokenizer.dense.deltas."):
            assert value >= 0, f"{key} is reached where one of its level's boxes is matched"
        elif key.startswith("tokenizer.") and key not in blind:
            assert value > 0, f"{key} does not learn"
        elif not key.startswith("tokenizer."):
            assert value == -1, f"{key} is frozen"
    assert any(value > 0 for key, value in found.items() if key.startswith("tokenizer.dense.deltas."))


def test_a_trained_text_encoder_learns_and_is_stored(tiny_folder: Path, data: DetectionData, tmp_path: Path) -> None:
    model = build_tiny(tiny_folder, text_mode="trained")
    found = gradients(model, data, replace(TRAIN, stage=1), tmp_path)
    silent = {key for key, value in found.items() if key.startswith("text.") and value <= 0}
    assert all("key.bias" in key or "position_embeddings" in key for key in silent), silent
    assert any(key.startswith("text.") for key in model.learned())


def test_every_learnable_parameter_is_saved(model: VisionLLM) -> None:
    saved = {value.data_ptr() for value in model.learned().values()}
    for stage in (1, 2):
        groups = learnable(model, replace(TRAIN, stage=stage))
        learning = [p for group in groups for p in group["params"]]
        assert len({id(p) for p in learning}) == len(learning)
        assert all(p.data_ptr() in saved for p in learning)


def test_training_changes_what_learns_and_leaves_the_language_model_bit_identical(
    model: VisionLLM, data: DetectionData, tmp_path: Path
) -> None:
    before = {key: value.clone() for key, value in model.learned().items()}
    llm, text = model.llm.base_hash(), {k: v.clone() for k, v in model.text_encoder.state_dict().items()}
    Trainer(model, data, TRAIN, tmp_path).run(quiet)
    assert model.llm.base_hash() == llm
    assert all(torch.equal(value, text[key]) for key, value in model.text_encoder.state_dict().items())
    unchanged = [key for key, value in model.learned().items() if torch.equal(value, before[key])]
    assert all(key.startswith(("backbone.", "tokenizer.dense.", "tokenizer.scorer.")) for key in unchanged), unchanged
    assert {key.partition(".")[0] for key in before} == {"backbone", "tokenizer", "decoder", "adapter"}


@pytest.mark.parametrize("stage", [1, 2])
def test_a_resumed_run_ends_with_the_same_weights(
    tiny_folder: Path, data: DetectionData, tmp_path: Path, stage: int
) -> None:
    config = replace(TRAIN, stage=stage)
    # all as new: phrases that a text encoder has embedded before, in other company, differ in the last bit
    model, other, fresh = (build_tiny(tiny_folder) for _ in range(3))
    whole = Trainer(model, data, config, tmp_path / "whole")
    whole.run(quiet)
    with pytest.raises(KeyboardInterrupt):
        Trainer(other, data, config, tmp_path / "parts").run(stop_after(3))
    resumed = Trainer(fresh, data, config, tmp_path / "parts")
    assert resumed.resume()
    assert resumed.step == 2, "the last checkpoint, not the last step"
    resumed.run(quiet)
    for key, value in model.learned().items():
        assert torch.equal(value, fresh.learned()[key]), key
        assert torch.equal(whole.average[key], resumed.average[key]), key


def test_a_run_is_determined_by_its_seed(model: VisionLLM, data: DetectionData, tmp_path: Path) -> None:
    again, other = copy.deepcopy(model), copy.deepcopy(model)
    short = replace(TRAIN, steps=1)
    Trainer(model, data, short, tmp_path / "a").run(quiet)
    Trainer(again, data, short, tmp_path / "b").run(quiet)
    Trainer(other, data, replace(short, seed=1), tmp_path / "c").run(quiet)
    first, second, third = (m.learned()["decoder.rows"] for m in (model, again, other))
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


def test_nothing_to_resume_starts_at_the_beginning(model: VisionLLM, data: DetectionData, tmp_path: Path) -> None:
    trainer = Trainer(model, data, TRAIN, tmp_path)
    assert not trainer.resume()
    assert trainer.step == 0


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint", "truncated"])
def test_a_damaged_checkpoint_is_named(
    model: VisionLLM, data: DetectionData, tmp_path: Path, damage: bytes | str
) -> None:
    trainer = Trainer(model, data, TRAIN, tmp_path)
    trainer.save()
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(damage if isinstance(damage, bytes) else path.read_bytes()[:5000])
    with pytest.raises(WeightsError, match=r"Cannot resume from .*checkpoint\.pt.*remove it"):
        trainer.resume()


def test_a_checkpoint_of_another_stage_or_network_is_refused(
    model: VisionLLM, tiny_folder: Path, data: DetectionData, tmp_path: Path
) -> None:
    Trainer(model, data, TRAIN, tmp_path).save()
    with pytest.raises(WeightsError, match="is of stage 2, not 1"):
        Trainer(model, data, replace(TRAIN, stage=1), tmp_path).resume()
    with pytest.raises(WeightsError, match="Cannot resume"):
        Trainer(build_tiny(tiny_folder, width=64), data, TRAIN, tmp_path).resume()


def test_a_gradient_that_is_not_finite_changes_nothing(
    model: VisionLLM, data: DetectionData, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = Trainer(model, data, TRAIN, tmp_path)
    before = {key: value.clone() for key, value in model.learned().items()}
    hook = model.decoder.rows.register_hook(lambda gradient: gradient * float("nan"))
    trainer._learn(data.draw(Task.DETECT, 1, (0,)))
    hook.remove()
    assert "not finite" in caplog.text
    assert all(torch.equal(value, before[key]) for key, value in model.learned().items())


def test_a_network_with_few_class_tokens_is_asked_for_few_classes(shapes: Shapes, tiny_folder: Path) -> None:
    config = tiny_config(tiny_folder, class_tokens=2)
    few = DetectionData.for_model(config, shapes.annotations, shapes.images)
    for seed in range(12):
        (batch,) = few.draw(Task.DETECT, 1, (seed,))
        assert set(batch.instruction.class_tokens) <= {0, 1}


@pytest.mark.slow
def test_a_tiny_model_learns_a_tiny_world(model: VisionLLM, data: DetectionData, tmp_path: Path) -> None:
    losses: list[float] = []
    config = replace(TRAIN, stage=1, steps=60, batch_size=4, learning_rate=3e-3, save_every=60)
    Trainer(model, data, config, tmp_path).run(lambda step, parts: losses.append(parts["dense"]))
    assert sum(losses[-10:]) < 0.85 * sum(losses[:10])


def test_an_arm_with_a_trained_text_encoder_starts_from_weights_without_one(
    model: VisionLLM, tiny_folder: Path, tmp_path: Path
) -> None:
    weights.save(tmp_path, model.config, model.learned(), ("detect",), {})
    learner = build_tiny(tiny_folder, text_mode="trained")
    before = learner.learned()["text.bert.embeddings.word_embeddings.weight"].clone()
    start.from_folder(learner, tmp_path, partly=True)
    after = learner.learned()
    assert torch.equal(after["text.bert.embeddings.word_embeddings.weight"], before)
    assert torch.allclose(after["decoder.background"], model.learned()["decoder.background"], atol=1e-2)
    with pytest.raises(WeightsError, match=r"text\.safetensors is missing"):
        start.from_folder(learner, tmp_path)
