from __future__ import annotations

from vision_llm_ros.runtime.slots import Drop, LatestFrameSlot


def test_newest_frame_wins_and_the_older_one_is_counted() -> None:
    slot: LatestFrameSlot[str] = LatestFrameSlot()
    slot.offer("old", 1.0)
    slot.offer("new", 2.0, Drop.NOT_DUE)
    assert slot.take() == "new"
    assert slot.drops == {Drop.NOT_DUE: 1}
    assert (slot.offered, slot.taken, slot.last_offer_s) == (2, 1, 2.0)


def test_a_frame_is_taken_once() -> None:
    slot: LatestFrameSlot[str] = LatestFrameSlot()
    slot.offer("frame", 1.0)
    assert (slot.take(), slot.take(), slot.taken) == ("frame", None, 1)


def test_empty_slot_gives_nothing_and_counts_nothing() -> None:
    slot: LatestFrameSlot[str] = LatestFrameSlot()
    assert slot.take() is None and slot.taken == 0 and slot.last_offer_s is None


def test_cleared_slot_forgets_the_frame_but_not_its_counts() -> None:
    slot: LatestFrameSlot[str] = LatestFrameSlot()
    slot.offer("frame", 1.0)
    slot.clear()
    assert not slot.is_full and slot.offered == 1 and slot.drops.total() == 0
