"""Thresholds that set an exit code: `--require box_ap50>=0.3 --require latency_p95_ms<=250`."""

from __future__ import annotations

import difflib
import math
import operator
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vision_llm_ros.errors import ConfigError

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
}
PATTERN = re.compile(r"\s*(?P<metric>[^<>=]+?)\s*(?P<comparison>>=|<=|==|>|<)\s*(?P<threshold>[^<>=\s]+)\s*")


@dataclass(frozen=True)
class Requirement:
    """One threshold; `metric` is a dotted path such as "per_class.person.ap50"."""

    metric: str
    comparison: str
    threshold: float

    def __str__(self) -> str:
        return f"{self.metric}{self.comparison}{self.threshold:g}"

    def holds(self, value: float) -> bool:
        """Compare; a value that is not a number never holds."""
        return not math.isnan(value) and COMPARISONS[self.comparison](value, self.threshold)


def parse_requirement(text: str) -> Requirement:
    """Read "box_ap50>=0.3".

    Raises:
        ConfigError: no comparison, no metric name, or the threshold is not a finite number.
    """
    found = PATTERN.fullmatch(text)
    if found is None:
        raise ConfigError(f"Expected METRIC>=NUMBER (or <=, >, <, ==) such as 'box_ap50>=0.3', got {text!r}")
    try:
        threshold = float(found["threshold"])
    except ValueError:
        threshold = math.nan
    if not math.isfinite(threshold):
        raise ConfigError(f"{text!r}: expected a number after {found['comparison']}, got {found['threshold']!r}")
    return Requirement(found["metric"], found["comparison"], threshold)


def parse_requirements(texts: Sequence[str], known: Collection[str] = ()) -> tuple[Requirement, ...]:
    """Read several; given `known` metrics (first parts of dotted names), a typo is refused before any work.

    Raises:
        ConfigError: as `parse_requirement`, or a metric is not among `known`.
    """
    requirements = tuple(parse_requirement(text) for text in texts)
    for requirement in requirements:
        if known and requirement.metric.split(".")[0] not in known:
            raise _unknown(requirement.metric, known)
    return requirements


def flatten(report: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Every number of a nested report under its dotted name; None becomes NaN, text and lists are left out."""
    flat: dict[str, float] = {}
    for key, value in report.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{name}."))
        elif value is None:
            flat[name] = math.nan
        elif isinstance(value, (bool, int, float)):
            flat[name] = float(value)
    return flat


def unmet(requirements: Sequence[Requirement], report: Mapping[str, Any]) -> list[str]:
    """Say which requirements the report misses, with the value measured; empty if all hold.

    Raises:
        ConfigError: a metric is not in the report; the nearest known ones are named.
    """
    values = flatten(report)
    missed = []
    for requirement in requirements:
        if requirement.metric not in values:
            raise _unknown(requirement.metric, values)
        value = values[requirement.metric]
        if not requirement.holds(value):
            shown = "not measured" if math.isnan(value) else f"{value:.6g}"
            missed.append(f"{requirement} missed: {shown}")
    return missed


def _unknown(metric: str, known: Collection[str]) -> ConfigError:
    begun = sorted(name for name in known if name.startswith(metric))
    close = begun or difflib.get_close_matches(metric, sorted(known), n=1)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    listed = sorted(name for name in known if name.count(".") <= 1)[:40]
    return ConfigError(f"Unknown metric {metric!r}{hint} Known: {', '.join(listed)}")
