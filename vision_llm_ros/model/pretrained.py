"""Published checkpoints through transformers: pinned, complete, quiet, and never with code of their own."""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vision_llm_ros.errors import ConfigError, WeightsError

logger = logging.getLogger(__name__)

_COMMIT = re.compile(r"[0-9a-f]{40}")


def locate(source: str, revision: str, what: str) -> str:
    """Check that a checkpoint is a folder that exists or a hub id with a pinned commit; returns it with `~` expanded.

    Raises:
        ConfigError: no source, or a hub id without a full commit hash.
        WeightsError: a path without a folder behind it.
    """
    if not source:
        raise ConfigError(f"{what}: expected a folder or a hub id, got nothing; set it in the preset")
    path = Path(source).expanduser()
    if path.is_dir():
        return str(path)
    if source.count("/") > 1 or source.startswith((".", "~", "/")):
        raise WeightsError(f"{what}: no folder {path}; name the folder that holds its config.json")
    if not _COMMIT.fullmatch(revision):
        raise ConfigError(
            f"{what}: hub id {source!r} needs the full commit hash as its revision, got {revision!r}; "
            "what a branch holds can change"
        )
    return source


@contextlib.contextmanager
def guarded(source: str, revision: str, what: str) -> Iterator[None]:
    """Inside, transformers neither prints nor raises anything but our own errors.

    Raises:
        WeightsError: whatever went wrong, and how to bring the files here.
    """
    from safetensors import SafetensorError

    with _quiet():
        try:
            yield
        except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
            reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise WeightsError(f"Cannot load {what} {source!r}: {reason}; {_advice(source, revision)}") from error


def load(model_class: Any, source: str, revision: str, what: str, may_lack: str = "?", **options: Any) -> Any:
    """Load a model and check that the checkpoint fills all of it; transformers would invent what is missing.

    Args:
        model_class: a transformers class with `from_pretrained`.
        may_lack: tensors of this name may keep their defaults.
        options: handed to `from_pretrained`.
    Raises:
        ConfigError, WeightsError: see `locate` and `guarded`; also a checkpoint that lacks tensors.
    """
    started = time.perf_counter()
    location = locate(source, revision, what)
    with guarded(source, revision, what):
        model, report = model_class.from_pretrained(
            location, revision=revision or None, output_loading_info=True, **options
        )
    if missing := sorted(key for key in report["missing_keys"] if may_lack not in key):
        shown = ", ".join(missing[:3])
        raise WeightsError(
            f"Cannot load {what} {source!r}: the checkpoint lacks {len(missing)} tensors, e.g. {shown}; "
            f"it is damaged or of another kind than {model_class.__name__}"
        )
    count = sum(parameter.numel() for parameter in model.parameters())
    seconds = time.perf_counter() - started
    logger.info("Loaded %s %s: %s, %.1f M parameters, %.1f s", what, source, model_class.__name__, count / 1e6, seconds)
    return model


def read_config(source: str, revision: str, what: str) -> Any:
    """The checkpoint's configuration.

    Raises:
        ConfigError, WeightsError: see `locate` and `guarded`.
    """
    from transformers import AutoConfig

    location = locate(source, revision, what)
    with guarded(source, revision, what):
        return AutoConfig.from_pretrained(location, revision=revision or None, trust_remote_code=False)


def read_tokenizer(source: str, revision: str, what: str) -> Any:
    """The checkpoint's tokenizer.

    Raises:
        ConfigError, WeightsError: see `locate` and `guarded`.
    """
    from transformers import AutoTokenizer

    location = locate(source, revision, what)
    with guarded(source, revision, what):
        return AutoTokenizer.from_pretrained(location, revision=revision or None, trust_remote_code=False)


def _advice(source: str, revision: str) -> str:
    if Path(source).expanduser().is_dir():
        return "restore the folder's files"
    download = f"hf download {source} --revision {revision} --local-dir FOLDER"
    return f"without a network run `{download}` elsewhere and name the FOLDER in the preset"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the progress bars and load reports of transformers; what was loaded stands in our own log."""
    from transformers.utils import logging as chatter

    level, bars = chatter.get_verbosity(), chatter.is_progress_bar_enabled()
    chatter.set_verbosity(logging.CRITICAL)
    chatter.disable_progress_bar()
    try:
        yield
    finally:
        chatter.set_verbosity(level)
        if bars:
            chatter.enable_progress_bar()
