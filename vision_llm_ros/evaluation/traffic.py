"""Rate, age, jitter and losses of one topic from the times its messages were stamped and received."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.evaluation.report import percentiles

# A pause longer than this many usual intervals counts as lost messages.
GAP = 1.6


@dataclass
class TopicRecord:
    """What was seen of a topic.

    Attributes:
        stamps_ns: header stamps, in the order of arrival; None where the type has no header.
        received_ns: arrival by the listener's clock (ROS time).
        num_bytes: sum of the serialized sizes.
    """

    msgtype: str
    stamps_ns: list[int | None] = field(default_factory=list)
    received_ns: list[int] = field(default_factory=list)
    num_bytes: int = 0

    def add(self, stamp_ns: int | None, received_ns: int, num_bytes: int) -> None:
        self.stamps_ns.append(stamp_ns)
        self.received_ns.append(received_ns)
        self.num_bytes += num_bytes

    def summary(self, seconds: float) -> dict[str, Any]:
        """Plain values: messages, rate_hz, bandwidth_mb_s, age_ms, jitter_ms, longest_gap_ms, drops.

        `jitter_ms` is the standard deviation of the arrival intervals. `drops` estimates the messages missing
        in pauses of the source's stamps (of arrival, without stamps); None below four messages.
        """
        arrivals = _intervals_ms(self.received_ns)
        stamps = [stamp for stamp in self.stamps_ns if stamp is not None]
        return {
            "type": self.msgtype,
            "messages": len(self.received_ns),
            "rate_hz": _rate(self.received_ns, seconds),
            "bandwidth_mb_s": round(self.num_bytes / 1e6 / seconds, 3),
            "age_ms": percentiles(self._ages_ms()),
            "jitter_ms": round(float(arrivals.std()), 3) if arrivals.size > 1 else None,
            "longest_gap_ms": round(float(arrivals.max()), 3) if arrivals.size else None,
            "drops": missing(_intervals_ms(stamps if len(stamps) > 3 else self.received_ns)),
            "out_of_order": int((_intervals_ms(stamps) < 0).sum()),
        }

    def _ages_ms(self) -> list[float]:
        """Stamp to arrival; messages that carry no time (stamp 0) have no age."""
        pairs = zip(self.stamps_ns, self.received_ns, strict=True)
        return [(received - stamp) / 1e6 for stamp, received in pairs if stamp]


def missing(intervals_ms: NDArray[np.float64]) -> int | None:
    """How many messages the pauses would hold at the usual (median) interval."""
    steady = intervals_ms[intervals_ms > 0]
    if steady.size < 3:
        return None
    usual = float(np.median(steady))
    return int(sum(round(pause / usual) - 1 for pause in steady if pause > GAP * usual))


def _rate(received_ns: list[int], seconds: float) -> float:
    """Messages a second between first and last arrival; a single message counts over the whole time."""
    if len(received_ns) < 2 or received_ns[-1] <= received_ns[0]:
        return round(len(received_ns) / seconds, 3)
    return round((len(received_ns) - 1) / ((received_ns[-1] - received_ns[0]) / 1e9), 3)


def _intervals_ms(times_ns: list[int]) -> NDArray[np.float64]:
    return np.diff(np.array(times_ns, dtype=np.int64)).astype(np.float64) / 1e6
