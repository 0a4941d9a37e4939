"""`vision-llm listen`: rate, age, jitter and drops of every picture and result topic of a running system."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from vision_llm_ros.errors import ConfigError, InputError

HELP = "examine a running system: rate, age, jitter and drops per topic"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to listen (default: 10)")
    parser.add_argument("--topics", nargs="+", default=[], metavar="TOPIC", help="default: every picture and result")
    parser.add_argument("--out", type=Path, metavar="R.json", help="write the numbers there")
    parser.add_argument(
        "--require",
        action="append",
        default=[],
        metavar="METRIC",
        help="e.g. 'topics./image.rate_hz>=9'; exit code 1 when missed",
    )


def run(args: argparse.Namespace) -> int:
    from vision_llm_ros.evaluation.requirements import parse_requirements, unmet

    if not 0 < args.seconds <= 86_400:
        raise ConfigError(f"--seconds expects a time above 0 and up to 86400, got {args.seconds:g}")
    requirements = parse_requirements(args.require)
    try:
        from vision_llm_ros.nodes.listener import listen
    except ImportError as error:
        raise ConfigError(
            f"Listening needs ROS 2, which cannot be imported: {error}; see `vision-llm doctor`"
        ) from error
    records, diagnostics, seen = listen(args.seconds, tuple(args.topics))
    topics = {name: record.summary(args.seconds) for name, record in sorted(records.items())}
    values: dict[str, Any] = {"seconds": args.seconds, "topics": topics, "diagnostics": diagnostics}
    if args.out:
        write_json(args.out, values)
    print(table(topics))
    if not any(record.received_ns for record in records.values()):
        there = "; there are " + ", ".join(seen) if seen else "; no topic is visible. Same ROS_DOMAIN_ID?"
        raise InputError(f"Nothing arrived in {args.seconds:g} s{there}")
    missed = unmet(requirements, values)
    print("\n".join(missed), end="\n" if missed else "")
    return 1 if missed else 0


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write indented JSON.

    Raises:
        InputError: no right to write there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"Cannot write {path}: {error.strerror}") from error


def table(topics: dict[str, dict[str, Any]]) -> str:
    """One line per topic for a reader."""
    head = f"{'topic':<40}{'msgs':>7}{'Hz':>8}{'age p50':>10}{'age p95':>10}{'jitter':>9}{'drops':>7}   (ms)"
    lines = [head]
    for name, row in topics.items():
        numbers = (row["age_ms"]["p50"], row["age_ms"]["p95"], row["jitter_ms"])
        shown = "".join(f"{_short(value):>{width}}" for value, width in zip(numbers, (10, 10, 9), strict=True))
        lines.append(f"{name:<40}{row['messages']:>7}{row['rate_hz']:>8.2f}{shown}{_short(row['drops']):>7}")
    return "\n".join(lines)


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}" if isinstance(value, float) else str(value)
