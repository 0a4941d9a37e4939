"""The newest frame of each camera, and an honest count of those nobody saw."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import Generic, TypeVar

T = TypeVar("T")


class Drop(StrEnum):
    """Why a frame or a result was not used."""

    OVERWRITTEN = "overwritten"  # a newer frame came while the worker was busy
    NOT_DUE = "not_due"  # every command was within its rate
    NO_COMMAND = "no_command"  # nobody asked anything of this camera
    TOO_OLD = "too_old"
    TOO_LARGE = "too_large"
    UNDECODABLE = "undecodable"
    SUPERSEDED = "superseded"  # the command was replaced or stopped while its result was computed
    UNSENT = "unsent"  # the middleware refused the message


class LatestFrameSlot(Generic[T]):
    """Holds one frame: a newer one overwrites an older one.

    Attributes:
        offered: frames that came.
        taken: frames that were taken up.
        drops: frames that were overwritten, by reason.
        last_offer_s: time of the newest frame on the caller's clock; None before the first.
    """

    def __init__(self) -> None:
        self.offered = 0
        self.taken = 0
        self.drops: Counter[Drop] = Counter()
        self.last_offer_s: float | None = None
        self._item: T | None = None

    @property
    def is_full(self) -> bool:
        return self._item is not None

    def offer(self, item: T, now: float, reason: Drop = Drop.OVERWRITTEN) -> None:
        """Put the newest frame in; a frame still there is counted as dropped for `reason`."""
        if self._item is not None:
            self.drops[reason] += 1
        self.offered += 1
        self.last_offer_s = now
        self._item = item

    def take(self) -> T | None:
        """Take the frame out; None if there is none."""
        item, self._item = self._item, None
        self.taken += item is not None
        return item

    def clear(self) -> None:
        """Forget the frame, e.g. when the node is deactivated."""
        self._item = None
