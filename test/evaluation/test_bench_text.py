from __future__ import annotations

from pathlib import Path

import numpy as np
from blips import build_engine, build_route
from fakes import FakeEngine

from vision_llm_ros.evaluation.bench_text import questions, text_latency
from vision_llm_ros.interfaces import Task
from vision_llm_ros.language.questions import Kind, understand

FRAMES = [np.full((48, 64, 3), level, np.uint8) for level in (40, 90, 140)]


def test_questions_of_all_kinds_are_asked() -> None:
    kinds = [understand(text).kind for text, _ in zip(questions(("cup", "person")), range(6), strict=False)]
    assert kinds == [Kind.PRESENCE, Kind.COUNT, Kind.OPEN] * 2


def test_captions_and_answers_are_timed_end_to_end(tiny_folder: Path, tmp_path: Path) -> None:
    engine = build_engine(build_route(tiny_folder, tmp_path))
    found = text_latency(engine, FRAMES, ("cup", "dog"), lambda items, _: items)
    assert list(found) == ["caption", "answer"]
    for values in found.values():
        assert 0 < values["p50_ms"] <= values["p95_ms"]
        assert values["cpu_p50_ms"] > 0
        assert values["stages"]["look"] > 0
    assert "write" in found["caption"]["stages"]
    assert {"write", "rank"} <= found["answer"]["stages"].keys()


def test_a_warm_up_goes_before_the_frames() -> None:
    engine = FakeEngine(tasks=frozenset({Task.CAPTION}))
    assert list(text_latency(engine, FRAMES, ("cup",), lambda items, _: items)) == ["caption"]
    assert len(engine.calls) == len(FRAMES) + 1
