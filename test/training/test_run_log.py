from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vision_llm_ros.training.run_log import RunLog, _smooth, plot_losses, read_log


def test_rows_of_steps_learnt_again_are_dropped_on_resume(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    for step in range(1, 5):
        log.add(step, "detect", {"box": float(step), "seconds": 0.1})
    log.close()
    resumed = RunLog(tmp_path, step=2)
    resumed.add(3, "ground", {"box": 30.0, "class": 1.5})
    resumed.close()
    rows = read_log(tmp_path / "log.csv")
    assert [(row["step"], row["task"], row["box"]) for row in rows] == [
        ("1", "detect", "1"),
        ("2", "detect", "2"),
        ("3", "ground", "30"),
    ]
    assert rows[0]["class"] == ""


def test_log_without_header_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("1,task=0.0,box=1.4\n")
    log = RunLog(tmp_path, step=1)
    log.add(2, "detect", {"box": 1.0})
    log.close()
    assert [row["step"] for row in read_log(tmp_path / "log.csv")] == ["2"]


def test_plot_is_drawn_for_the_parts_there_are(tmp_path: Path) -> None:
    rows = [{"step": str(step), "task": "detect", "box": "1.0", "class": ""} for step in range(1, 40)]
    plot_losses(rows, tmp_path / "losses.png")
    assert (tmp_path / "losses.png").read_bytes().startswith(b"\x89PNG")
    plot_losses([], tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_smoothing_is_the_mean_of_the_steps_before() -> None:
    values = np.arange(40, dtype=float)
    assert _smooth(values)[:3] == pytest.approx([0.0, 0.5, 1.5])
    assert _smooth(values[:10]) == pytest.approx(values[:10])


def test_events_are_written_where_tensorboard_is_installed(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    log = RunLog(tmp_path)
    log.add(1, "detect", {"box": 1.0})
    log.close()
    assert list((tmp_path / "tensorboard").glob("events*"))
