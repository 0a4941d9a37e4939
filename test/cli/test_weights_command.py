from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from vision_llm_ros.cli import main
from vision_llm_ros.config import ModelConfig
from vision_llm_ros.model import weights


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    state = {"decoder.rows": torch.ones(4, 3), "tokenizer.queries": torch.zeros(2, 2)}
    weights.save(tmp_path / "nano", ModelConfig(), state, ("detect",), {"data": "squares", "steps": 3})
    return tmp_path / "nano"


def test_list_shows_files_tasks_and_notes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "list", str(folder.parent)]) == 0
    told = capsys.readouterr().out
    for word in ("decoder.safetensors", "tokenizer.safetensors", "detect", "squares", "steps: 3"):
        assert word in told


def test_list_as_json_has_size_and_checksum(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "list", str(folder), "--json"]) == 0
    (values,) = json.loads(capsys.readouterr().out)
    entry = values["files"]["decoder.safetensors"]
    assert entry["bytes"] == (folder / "decoder.safetensors").stat().st_size
    assert entry["sha256"] == weights.file_hash(folder / "decoder.safetensors")


def test_verify_passes_whole_weights(folder: Path) -> None:
    assert main(["weights", "verify", str(folder)]) == 0


def test_verify_names_damaged_and_missing_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (folder / "decoder.safetensors").open("ab") as stream:
        stream.write(b"x")
    (folder / "tokenizer.safetensors").unlink()
    assert main(["weights", "verify", str(folder)]) == 1
    told = capsys.readouterr().err
    assert "decoder.safetensors is damaged" in told
    assert "tokenizer.safetensors is missing" in told


def test_folder_without_weights_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "list", str(tmp_path)]) == 1
    assert str(tmp_path) in capsys.readouterr().err


def test_damaged_manifest_is_named_and_the_rest_is_listed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder.parent / "other").mkdir()
    (folder.parent / "other" / "manifest.json").write_text("{")
    assert main(["weights", "list", str(folder.parent)]) == 1
    told = capsys.readouterr()
    assert "decoder.safetensors" in told.out
    assert "other" in told.err
