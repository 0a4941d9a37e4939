"""report.html and report.json of a replay, and the summary over many."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vision_llm_ros.errors import RecordingError
from vision_llm_ros.evaluation.exam import Exam
from vision_llm_ros.evaluation.plots import Span, latency_plot, timeline_plot
from vision_llm_ros.evaluation.report import Page
from vision_llm_ros.interfaces import COMPUTED

BAD = ("ERROR", "REJECTED", "STALE", "FAILED", "REFUSED")


def write_json(path: Path, values: Any) -> None:
    """Write indented JSON.

    Raises:
        RecordingError: no right to write there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise RecordingError(f"Cannot write {path}: {error.strerror}") from error


def write_report(exam: Exam, out: Path) -> None:
    """Write report.json and report.html into `out`.

    Raises:
        RecordingError: no right to write there.
    """
    write_json(out / "report.json", exam.values)
    page = replay_page(exam)
    page.write(out / "report.html")


def replay_page(exam: Exam) -> Page:
    """The report of one recording, most wanted first."""
    values, collector = exam.values, exam.collector
    model = f"{values['model']} ({values['weights_hash']}, {values['device']}, {values['dtype']})"
    page = Page(f"Replay of {Path(values['recording']).name}", f"{values['mode']}, {model}")
    add_problems(page, (*values["damage"], *values["faults"]), values["notes"])
    page.numbers(_key_numbers(values))
    if values.get("images") is not None:
        _add_accuracy(page, values)
    if collector.samples:
        page.section("Pictures")
        page.pictures(collector.samples)
    page.section("Commands")
    add_commands(page, values["commands"])
    page.section("Time")
    computed = [point for point in collector.points if point[3] in COMPUTED]
    series = {"latency": [(point[0], point[1]) for point in computed], "age": [(p[0], p[2]) for p in computed]}
    page.plot(latency_plot(series))
    page.table(("", "p50 ms", "p95 ms", "p99 ms"), [percentile_row(name, values) for name in ("latency", "age")])
    page.section("Timeline")
    marks = {"results": [point[0] for point in collector.points], "dropped": exam.tally.dropped_s}
    page.plot(timeline_plot(command_spans(values["commands"], exam.tally.end_s), marks, exam.tally.end_s))
    _add_counts(page, values)
    return page


def add_problems(page: Page, problems: Sequence[str], notes: Sequence[str]) -> None:
    """What is wrong stands on top; a report without this section had no trouble."""
    if problems or notes:
        page.section("Problems")
        for text in problems:
            page.text(text, "bad")
        page.items(notes)


def add_commands(page: Page, commands: Sequence[dict[str, Any]]) -> None:
    """What was said, what was understood and how it ended."""
    rows = [
        (entry["id"], entry["text"], entry["task"], entry["state"], entry.get("results"), entry["say_back"])
        for entry in commands
    ]
    page.table(("id", "sentence", "task", "ended as", "results", "say-back"), rows)


def command_spans(commands: Sequence[dict[str, Any]], end_s: float) -> list[Span]:
    """Bars of a timeline; a command that is still live runs to the end."""
    return [
        Span(
            entry["id"] or "refused",
            entry["begin_s"],
            end_s if entry["state"] == "ACCEPTED" else entry["end_s"],
            entry["text"],
            1 if entry["state"] in BAD else 0,
        )
        for entry in commands
    ]


def percentile_row(name: str, values: dict[str, Any]) -> tuple[Any, ...]:
    times = values[f"{name}_ms"]
    return name, times["p50"], times["p95"], times["p99"]


def summary_page(outcomes: Sequence[dict[str, Any]]) -> Page:
    """One row per recording; the failed ones are named with the reason."""
    page = Page("Replays", f"{len(outcomes)} recordings")
    failed = [f"{entry['recording']}: {entry['error']}" for entry in outcomes if entry.get("error")]
    damaged = [text for entry in outcomes for text in (*entry.get("damage", ()), *entry.get("faults", ()))]
    add_problems(page, (*failed, *damaged), ())
    keys = ("frames_in", "results", "drop_rate", "detections", "box_ap50", "latency_p50_ms", "latency_p95_ms")
    page.table(("recording", *keys), [(entry["recording"], *(entry.get(key) for key in keys)) for entry in outcomes])
    return page


def _key_numbers(values: dict[str, Any]) -> dict[str, Any]:
    numbers = {
        "frames in": values["frames_in"],
        "answered": values["frames_answered"],
        "dropped": values["frames_dropped"],
        "results": values["results"],
        "detections": values["detections"],
        "latency p95, ms": values["latency_p95_ms"],
        "age p95, ms": values["age_p95_ms"],
    }
    return {"box AP50": values["box_ap50"], **numbers} if "box_ap50" in values else numbers


def _add_accuracy(page: Page, values: dict[str, Any]) -> None:
    page.section("Accuracy")
    page.text(f"{values['images']} answered pictures have annotations; COCO protocol over the classes asked for.")
    page.numbers({"box AP": values["box_ap"], "box AP50": values["box_ap50"], "box AP75": values["box_ap75"]})
    rows = [(name, row["objects"], row["ap"], row["ap50"]) for name, row in values["per_class"].items()]
    page.table(("class", "objects", "AP", "AP50"), rows)


def _add_counts(page: Page, values: dict[str, Any]) -> None:
    page.section("Results by status")
    page.table(("status", "results"), _counted(values["status_counts"]))
    page.section("Pictures not answered, by reason")
    page.table(("reason", "pictures"), _counted(values["drops"]))
    page.section("Findings by label")
    page.table(("label", "findings"), values["labels"].items())
    page.section("Cost")
    page.table(
        ("engine s", "decoding s", "all s", "added to the engine, %"),
        [(values["engine_s"], values["decode_s"], values["wall_s"], values["overhead_percent"])],
    )


def _counted(counts: dict[str, int]) -> list[tuple[str, int]]:
    return [(name, number) for name, number in counts.items() if number]
