"""What the commands that learn and compare arms share: where the report goes, how far a run has come."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vision_llm_ros.errors import ConfigError


def check_writable(path: Path) -> None:
    """Raise `ConfigError` before hours of learning rather than after."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise ConfigError(f"--out: cannot write {path}: {error.strerror}") from error


def write_report(path: Path, report: dict[str, Any], table: str) -> None:
    """The report with the command that made it, and its table in Markdown beside it."""
    report = report | {"command": " ".join(["vision-llm", *sys.argv[1:]])}
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(table, encoding="utf-8")


def progress(title: str, steps: int) -> Callable[[int, dict[str, float]], None]:
    """A bar of `steps` steps; what is returned is called after each."""
    from tqdm import tqdm

    bar: Any = tqdm(total=steps, desc=title, unit="step")

    def advance(step: int, parts: dict[str, float]) -> None:
        bar.update(1)
        if bar.n >= steps:
            bar.close()

    return advance
