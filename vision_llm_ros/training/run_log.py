"""What a training run leaves to look at: log.csv, losses.png, and TensorBoard events where it is installed."""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

DETECTION = ("objectness", "box", "dense", "class", "location")
_RATES = ("gradient", "learning_rate")
_FIXED = {"step", "task", *_RATES, "seconds"}
_SMOOTHED_SHARE = 0.05


class RunLog:
    """The log of one run folder.

    A resumed run has steps in its log that are learnt again from the checkpoint on; their rows are dropped.
    """

    def __init__(self, folder: Path, step: int = 0, losses: tuple[str, ...] = DETECTION) -> None:
        """Open the log of a run that stands at `step` and whose loss has these parts."""
        self.folder, self.losses = folder, losses
        self.columns = ("step", "task", *losses, *_RATES, "seconds")
        self.path = folder / "log.csv"
        rows = [row for row in read_log(self.path) if int(row["step"]) <= step]
        self._stream = self.path.open("w", newline="", encoding="utf-8")
        self._writer = csv.DictWriter(self._stream, self.columns, restval="", extrasaction="ignore")
        self._writer.writeheader()
        self._writer.writerows(rows)
        self._events = _event_writer(folder, step)

    def add(self, step: int, task: str, values: Mapping[str, float]) -> None:
        """Write one step; parts of the loss that a task does not have stay empty."""
        row = {key: f"{values[key]:.6g}" for key in self.columns if key in values}
        self._writer.writerow(row | {"step": step, "task": task})
        self._stream.flush()
        if self._events is not None:
            for key in (*self.losses, *_RATES):
                if key in values:
                    self._events.add_scalar(f"{task}/{key}" if key in self.losses else key, values[key], step)

    def plot(self) -> None:
        """Draw losses.png anew."""
        plot_losses(read_log(self.path), self.folder / "losses.png")

    def close(self) -> None:
        self._stream.close()
        if self._events is not None:
            self._events.close()


def read_log(path: Path) -> list[dict[str, str]]:
    """Rows of a log.csv; none where there is no file, or one without this header."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        if reader.fieldnames is None or "step" not in reader.fieldnames:
            return []
        return [row for row in reader if str(row["step"]).isdecimal()]


def plot_losses(rows: list[dict[str, str]], path: Path) -> None:
    """Draw every part of the loss over the steps, one panel a part and one line a task, smoothed over 5 % of them."""
    from matplotlib.figure import Figure

    parts = [part for part in (rows[0] if rows else ()) if part not in _FIXED and any(row.get(part) for row in rows)]
    if not parts:
        return
    figure = Figure(figsize=(3.2 * len(parts), 3.0), layout="constrained")
    for part, axes in zip(parts, figure.subplots(1, len(parts), squeeze=False)[0], strict=True):
        for task in sorted({row["task"] for row in rows if row.get(part)}):
            chosen = [row for row in rows if row["task"] == task and row.get(part)]
            steps = np.array([int(row["step"]) for row in chosen])
            losses = np.array([float(row[part]) for row in chosen])
            (line,) = axes.plot(steps, losses, linewidth=0.6, alpha=0.3)
            axes.plot(steps, _smooth(losses), color=line.get_color(), label=task)
        axes.set(title=part, xlabel="step")
        axes.set_ylim(bottom=0)
        axes.legend(fontsize=8, frameon=False)
    figure.savefig(path, dpi=110)


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Running mean over the steps before."""
    width = max(1, round(len(values) * _SMOOTHED_SHARE))
    sums = np.cumsum(np.insert(values, 0, 0.0))
    low = np.maximum(np.arange(1, len(values) + 1) - width, 0)
    high = np.arange(1, len(values) + 1)
    return np.asarray((sums[high] - sums[low]) / (high - low))


def _event_writer(folder: Path, step: int) -> Any:
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)
