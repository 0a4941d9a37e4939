from __future__ import annotations

import logging
from pathlib import Path

import pytest

from vision_llm_ros.config import load_model_config
from vision_llm_ros.errors import ConfigError, WeightsError
from vision_llm_ros.model import pretrained
from vision_llm_ros.model.llm import LanguageModel
from vision_llm_ros.resources import config_path

COMMIT = "f" * 40


def test_a_folder_needs_no_revision(tmp_path: Path) -> None:
    assert pretrained.locate(str(tmp_path), "", "backbone") == str(tmp_path)


def test_a_hub_id_with_a_commit_is_accepted() -> None:
    assert pretrained.locate("owner/name", COMMIT, "backbone") == "owner/name"


@pytest.mark.parametrize("revision", ["", "main", "f" * 7])
def test_a_hub_id_without_a_pinned_commit_is_refused(revision: str) -> None:
    with pytest.raises(ConfigError, match="needs the full commit hash"):
        pretrained.locate("owner/name", revision, "backbone")


@pytest.mark.parametrize("source", ["/no/such/folder", "./weights", "~/weights/nowhere", "a/b/c"])
def test_a_folder_that_is_not_there_is_named(source: str) -> None:
    with pytest.raises(WeightsError, match="no folder"):
        pretrained.locate(source, COMMIT, "language model")


def test_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="backbone: expected a folder or a hub id, got nothing"):
        pretrained.locate("", "", "backbone")


def test_a_folder_without_a_config_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"Cannot load language model .*restore the folder's files"):
        LanguageModel(str(tmp_path))


def test_an_unreachable_hub_says_how_to_bring_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*args: object, **options: object) -> None:
        raise OSError("We couldn't connect to 'https://huggingface.co'\nsecond line")

    monkeypatch.setattr("transformers.AutoConfig.from_pretrained", unreachable)
    with pytest.raises(WeightsError, match=rf"couldn't connect.*hf download owner/name --revision {COMMIT}"):
        pretrained.read_config("owner/name", COMMIT, "backbone")


def test_loading_is_quiet_and_logged(
    tiny_folder: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    from transformers.utils import logging as chatter

    before = chatter.get_verbosity(), chatter.is_progress_bar_enabled()
    with caplog.at_level(logging.INFO, "vision_llm_ros"):
        LanguageModel(str(tiny_folder / "llama"), num_layers=1)
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
    assert [record.name for record in caplog.records] == ["vision_llm_ros.model.pretrained"]
    assert "LlamaModel" in caplog.text
    assert (chatter.get_verbosity(), chatter.is_progress_bar_enabled()) == before


def test_base_preset_pins_every_published_part() -> None:
    config = load_model_config(config_path("base.yaml"))
    for source, revision in (
        (config.backbone_source, config.backbone_revision),
        (config.text_encoder, config.text_revision),
        (config.llm, config.llm_revision),
    ):
        assert pretrained.locate(source, revision, "part") == source
