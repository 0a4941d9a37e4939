"""Which of the parts that write text are loaded, and which of them goes before the other."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from vision_llm_ros.config import DecoderTextConfig, QFormerConfig
from vision_llm_ros.errors import ConfigError
from vision_llm_ros.model import weights
from vision_llm_ros.runtime.engine import _wanted_parts


def write(folder: Path, qformer: tuple[str, ...] = (), text: tuple[str, ...] = ()) -> Path:
    """A weights folder with those parts that are trained for something."""
    if qformer:
        weights.save(folder / "qformer", QFormerConfig(), {"a.b": torch.ones(1)}, qformer, {})
    if text:
        weights.save(folder / "text", DecoderTextConfig(), {"a.b": torch.ones(1)}, text, {})
    return folder


@pytest.mark.parametrize(
    ("qformer", "text", "choice", "order"),
    [
        (("answer", "caption", "match"), ("caption",), "auto", ["qformer", "text"]),
        (("answer", "caption", "match"), ("answer", "caption"), "qformer", ["qformer"]),
        (("answer", "caption", "match"), ("answer", "caption"), "decoder", ["qformer", "text"]),
        (("match",), ("answer", "caption"), "auto", ["qformer", "text"]),
        (("caption", "match"), ("answer", "caption"), "qformer", ["text", "qformer"]),
        ((), ("caption",), "auto", ["text"]),
        (("caption",), (), "auto", ["qformer"]),
    ],
)
def test_the_writer_that_is_wanted_comes_last(
    tmp_path: Path, qformer: tuple[str, ...], text: tuple[str, ...], choice: str, order: list[str]
) -> None:
    assert list(_wanted_parts(write(tmp_path, qformer, text), choice)) == order


@pytest.mark.parametrize(("choice", "missing"), [("qformer", "qformer"), ("decoder", "text")])
def test_a_writer_that_is_not_there_is_named(tmp_path: Path, choice: str, missing: str) -> None:
    with pytest.raises(ConfigError, match=rf"text_route={choice} needs weights in .*{missing}; set it to auto"):
        _wanted_parts(write(tmp_path), choice)
