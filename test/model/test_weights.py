from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from vision_llm_ros.config import ModelConfig, TrainConfig
from vision_llm_ros.errors import WeightsError
from vision_llm_ros.model import weights

STATE = {"tokenizer.a.weight": torch.randn(3, 4), "tokenizer.b": torch.randn(2), "decoder.rows": torch.randn(5, 2)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    weights.save(tmp_path, ModelConfig(width=64), STATE, ("detect", "polygon", "detect"), {"data": "none"})
    return tmp_path


def test_weights_come_back_as_they_were_saved(folder: Path) -> None:
    manifest = weights.read_manifest(folder, ModelConfig)
    assert manifest.config == ModelConfig(width=64)
    assert manifest.trained == ("detect", "polygon")
    assert manifest.notes == {"data": "none"}
    stored = weights.load(folder, ("tokenizer", "decoder"))
    assert stored.keys() == STATE.keys()
    assert all(torch.equal(value, STATE[key].half().float()) for key, value in stored.items())
    assert weights.verify(folder) == []
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in folder.glob("*.safetensors"))


def test_saving_a_module_keeps_the_others(folder: Path) -> None:
    before = weights.read_manifest(folder, ModelConfig)
    after = weights.save(folder, before.config, {"adapter.x": torch.ones(2)}, ("detect",), {})
    assert set(after.files) == {"tokenizer.safetensors", "decoder.safetensors", "adapter.safetensors"}
    assert after.files["decoder.safetensors"] == before.files["decoder.safetensors"]
    assert weights.verify(folder) == []


def test_hash_names_the_weights(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    first = weights.read_manifest(folder, ModelConfig).short_hash
    same, other = tmp_path_factory.mktemp("same"), tmp_path_factory.mktemp("other")
    changed = {**STATE, "decoder.rows": STATE["decoder.rows"] + 1}
    assert weights.save(same, ModelConfig(), STATE, (), {}).short_hash == first
    assert weights.save(other, ModelConfig(), changed, (), {}).short_hash != first
    assert len(first) == 12


def test_a_truncated_file_is_named(folder: Path) -> None:
    path = folder / "decoder.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(WeightsError, match=r"decoder\.safetensors is damaged"):
        weights.load(folder, ("decoder",))
    (fault,) = weights.verify(folder)
    assert "decoder.safetensors is damaged" in fault


def test_a_changed_file_is_found_by_its_hash(folder: Path) -> None:
    path = folder / "tokenizer.safetensors"
    tensors = load_file(path)
    tensors["b"][0] += 1
    save_file(tensors, path)
    assert weights.load(folder, ("tokenizer",))
    (fault,) = weights.verify(folder)
    assert "tokenizer.safetensors is damaged: SHA-256" in fault


def test_every_fault_is_listed(folder: Path) -> None:
    (folder / "decoder.safetensors").unlink()
    (folder / "tokenizer.safetensors").write_bytes(b"")
    assert len(weights.verify(folder)) == 2
    with pytest.raises(WeightsError, match=r"decoder\.safetensors is missing"):
        weights.load(folder, ("decoder",))


def test_missing_tensors_and_wrong_shapes_are_named() -> None:
    own = {key: torch.zeros_like(value) for key, value in STATE.items()}
    with pytest.raises(WeightsError, match=r"decoder\.rows has shape \[4, 2\], expected \[5, 2\]"):
        weights.fill(own, {**STATE, "decoder.rows": torch.zeros(4, 2)}, "here")
    with pytest.raises(WeightsError, match=r"here: .*tokenizer\.b"):
        weights.fill(own, {key: value for key, value in STATE.items() if key != "tokenizer.b"}, "here")
    with pytest.raises(WeightsError, match=r"e\.g\. decoder\.new"):
        weights.fill(own, {**STATE, "decoder.new": torch.zeros(1)}, "here")
    assert not own["tokenizer.a.weight"].any(), "nothing is filled when something does not fit"


def change(folder: Path, **values: object) -> None:
    path = folder / weights.MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"format": 99}, "format 99 is not 1; update"),
        ({"config": {"widht": 3}}, "did you mean 'width'"),
        ({"files": 3}, "damaged"),
        ({"config": {"width": "wide"}}, "width expects int, got str"),
    ],
)
def test_a_bad_manifest_says_what_is_wrong(folder: Path, values: dict[str, object], message: str) -> None:
    change(folder, **values)
    with pytest.raises(WeightsError, match=message):
        weights.read_manifest(folder, ModelConfig)
    assert len(weights.verify(folder)) == 1


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_a_manifest_that_is_no_json_object_is_named(folder: Path, text: str) -> None:
    (folder / weights.MANIFEST).write_text(text)
    with pytest.raises(WeightsError, match=r"manifest\.json is damaged"):
        weights.read_manifest(folder, ModelConfig)


def test_an_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"No weights in .*vision-llm train"):
        weights.read_manifest(tmp_path, ModelConfig)
    assert len(weights.verify(tmp_path)) == 1


def test_settings_of_another_system_are_refused(folder: Path) -> None:
    with pytest.raises(WeightsError, match="holds ModelConfig, not TrainConfig"):
        weights.read_manifest(folder, TrainConfig)


def test_folders_of_further_systems_are_found(folder: Path) -> None:
    weights.save(folder / "mask", ModelConfig(), STATE, ("segment",), {})
    (folder / "notes").mkdir()
    assert weights.part_folders(folder) == {"mask": folder / "mask"}


def test_a_joint_hash_changes_with_each_part_and_is_the_own_one_of_a_single_part() -> None:
    assert weights.joint_hash(["a"]) == "a"
    assert len({weights.joint_hash(names) for names in (["a", "b"], ["a", "c"], ["b", "a"], ["a"])}) == 4
