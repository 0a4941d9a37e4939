"""Plots as inline SVG, by matplotlib without a display."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

COLOURS = ("#2f7de1", "#e4572e", "#2a9d6f", "#b15de0", "#d99a00", "#5c6670")


@dataclass(frozen=True)
class Span:
    """One bar of a timeline: from `begin_s` to `end_s`; `row` groups, `label` is written on it."""

    row: str
    begin_s: float
    end_s: float
    label: str
    colour: int = 0


def latency_plot(series: Mapping[str, Sequence[tuple[float, float]]], limit_ms: float | None = None) -> str:
    """Latency over time and how it is distributed.

    Args:
        series: name -> (seconds from the start, milliseconds).
        limit_ms: draw a line there, e.g. the wanted period.
    Returns:
        an <svg> element.
    """
    figure, (over_time, spread) = _figure(2, (10.0, 3.0), width_ratios=(3, 1))
    for number, (name, points) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        over_time.plot([at for at, _ in points], [ms for _, ms in points], ".", color=colour, label=name, markersize=4)
        spread.hist([ms for _, ms in points], bins=24, orientation="horizontal", color=colour, alpha=0.6)
    if limit_ms is not None:
        over_time.axhline(limit_ms, color="#888", linewidth=1, linestyle="--")
    over_time.set_xlabel("seconds")
    over_time.set_ylabel("milliseconds")
    over_time.set_ylim(bottom=0)
    spread.set_ylim(over_time.get_ylim())
    spread.set_xlabel("results")
    if series:
        over_time.legend(loc="upper right", fontsize=8, frameon=False)
    return _svg(figure)


def timeline_plot(spans: Sequence[Span], marks: Mapping[str, Sequence[float]], end_s: float) -> str:
    """Commands as bars, events such as frames, results and drops as ticks in rows below.

    Args:
        marks: row name -> seconds.
    Returns:
        an <svg> element.
    """
    rows = [*dict.fromkeys(span.row for span in spans), *marks]
    figure, (axes,) = _figure(1, (10.0, 0.6 + 0.36 * max(1, len(rows))))
    for span in spans:
        place, colour = rows.index(span.row), COLOURS[span.colour % len(COLOURS)]
        length = max(span.end_s - span.begin_s, end_s / 200)
        axes.barh(place, length, left=span.begin_s, height=0.7, color=colour, alpha=0.75)
        axes.text(span.begin_s, place, f" {_plain(span.label)}", va="center", fontsize=8, clip_on=True)
    for number, (name, times) in enumerate(marks.items()):
        axes.eventplot(times, lineoffsets=rows.index(name), linelengths=0.6, linewidths=0.8, colors=COLOURS[number])
    axes.set_yticks(range(len(rows)), [_plain(row) for row in rows], fontsize=8)
    axes.set_ylim(max(1, len(rows)) - 0.5, -0.5)
    axes.set_xlim(0, max(end_s, 0.1))
    axes.set_xlabel("seconds")
    return _svg(figure)


def _figure(columns: int, size_inch: tuple[float, float], **ratios: Any) -> tuple[Any, tuple[Any, ...]]:
    # Figure without pyplot: no display, no global state, safe in any thread.
    from matplotlib.figure import Figure

    figure = Figure(figsize=size_inch, layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False, gridspec_kw=ratios or None)[0]
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
        each.grid(axis="x" if columns == 1 else "y", alpha=0.25)
    return figure, tuple(axes)


def _plain(text: str, limit: int = 48) -> str:
    """Sentences of operators may hold `$`, which matplotlib would take for a formula."""
    return (text if len(text) <= limit else text[: limit - 1] + "…").replace("$", r"\$")


def _svg(figure: Any) -> str:
    import matplotlib

    with matplotlib.rc_context({"svg.fonttype": "none", "font.family": "sans-serif"}):
        sink = io.StringIO()
        figure.savefig(sink, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = sink.getvalue()
    return text[text.index("<svg") :]
