from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from vision_llm_ros.errors import RecordingError
from vision_llm_ros.evaluation.plots import Span, latency_plot, timeline_plot
from vision_llm_ros.evaluation.report import Page, percentiles

PICTURE = np.zeros((48, 64, 3), np.uint8)


def _page() -> Page:
    page = Page("Report <1>", "nano & co")
    page.section("Numbers")
    page.numbers({"frames": 3, "ok": True, "p95": None})
    page.table(("command", "ms"), [("find <b>dogs</b>", 12.5)])
    page.pictures([(PICTURE, 'a "picture"')])
    page.plot(latency_plot({"all": [(0.0, 10.0), (1.0, 12.0)]}, limit_ms=20))
    page.plot(timeline_plot([Span("c1", 0, 1, "pay $5 or $6")], {"frames": [0.1, 0.2], "drops": []}, 2.0))
    return page


def test_page_has_nothing_from_outside() -> None:
    text = _page().render()
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", text)
    assert "<script" not in text and "@import" not in text and "<!DOCTYPE svg" not in text


def test_text_of_operators_is_escaped() -> None:
    text = _page().render()
    assert "find &lt;b&gt;dogs" in text and "<b>dogs" not in text and "Report &lt;1&gt;" in text


def test_pictures_are_embedded_and_scaled_down() -> None:
    page = Page("x")
    page.pictures([(np.random.default_rng(0).integers(0, 255, (1200, 1600, 3), np.uint8), "big")])
    assert "data:image/jpeg;base64," in page.render()
    assert len(page.render()) < 600_000


def test_empty_table_says_none() -> None:
    page = Page("x")
    page.table(("a",), [])
    assert "none" in page.render() and "<table" not in page.render()


def test_plots_accept_no_data() -> None:
    assert latency_plot({}).startswith("<svg")
    assert timeline_plot([], {}, 0.0).startswith("<svg")


def test_percentiles_of_known_values() -> None:
    assert percentiles([float(value) for value in range(101)]) == {"p50": 50.0, "p95": 95.0, "p99": 99.0}
    assert percentiles([]) == {"p50": None, "p95": None, "p99": None}


def test_page_is_written_into_a_new_folder(tmp_path: Path) -> None:
    _page().write(tmp_path / "new" / "report.html")
    assert (tmp_path / "new" / "report.html").read_text("utf-8").startswith("<!doctype html>")


def test_unwritable_report_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingError, match="report"):
        _page().write(tmp_path / "file" / "report.html")
