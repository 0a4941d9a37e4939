"""What the last seconds were like: rate, latency and age percentiles, drops by reason."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from vision_llm_ros.interfaces import Result, Status
from vision_llm_ros.runtime.slots import Drop


@dataclass(frozen=True)
class Percentiles:
    """Milliseconds; NaN when nothing was measured."""

    p50: float
    p95: float
    p99: float

    @staticmethod
    def of(values_ms: Iterable[float]) -> Percentiles:
        values = np.fromiter(values_ms, dtype=np.float64)
        if not values.size:
            return Percentiles(float("nan"), float("nan"), float("nan"))
        return Percentiles(*(float(value) for value in np.percentile(values, (50, 95, 99))))


@dataclass(frozen=True)
class Summary:
    """State of a window.

    Attributes:
        fps: frames taken up and answered, per second.
        latency_ms, age_ms: over the results of the window.
        statuses: results since the start, by status.
        drops: since the start, by reason.
        failure: text of the last ERROR inside the window, or "".
    """

    fps: float
    latency_ms: Percentiles
    age_ms: Percentiles
    statuses: dict[Status, int]
    drops: dict[Drop, int]
    failure: str = ""


@dataclass
class _Window:
    frames_s: deque[float] = field(default_factory=deque)
    results: deque[tuple[float, float, float]] = field(default_factory=lambda: deque(maxlen=4096))
    failure: tuple[float, str] = (float("-inf"), "")


class Statistics:
    """Collects over a sliding window; times are seconds of any one clock that does not run backwards."""

    def __init__(self, window_s: float = 10.0) -> None:
        self._window_s = window_s
        self._window = _Window()
        self._started_s: float | None = None
        self._statuses: Counter[Status] = Counter()
        self.drops: Counter[Drop] = Counter()

    def note_frame(self, now: float) -> None:
        """A frame was answered."""
        self._started_s = now if self._started_s is None else self._started_s
        self._window.frames_s.append(now)
        self._forget(now)

    def note_result(self, result: Result, now: float) -> None:
        """A result was given; only computed ones count into the percentiles."""
        perception = result.perception
        self._statuses[perception.status] += 1
        if perception.status is Status.ERROR:
            self._window.failure = (now, perception.text)
        if perception.status in (Status.OK, Status.NOTHING_FOUND, Status.DEGRADED):
            self._window.results.append((now, result.latency_ms, result.frame_age_ms))

    def summary(self, now: float, more_drops: Iterable[Counter[Drop]] = ()) -> Summary:
        """Sum up the window that ends now; `more_drops` are those counted by the slots."""
        self._forget(now)
        window = self._window
        seconds = min(self._window_s, max(now - self._started_s, 1.0)) if self._started_s is not None else 1.0
        drops = sum(more_drops, Counter(self.drops))
        return Summary(
            fps=len(window.frames_s) / seconds,
            latency_ms=Percentiles.of(entry[1] for entry in window.results),
            age_ms=Percentiles.of(entry[2] for entry in window.results),
            statuses=dict(self._statuses),
            drops=dict(drops),
            failure=window.failure[1] if now - window.failure[0] <= self._window_s else "",
        )

    def _forget(self, now: float) -> None:
        oldest_s = now - self._window_s
        while self._window.frames_s and self._window.frames_s[0] < oldest_s:
            self._window.frames_s.popleft()
        while self._window.results and self._window.results[0][0] < oldest_s:
            self._window.results.popleft()
