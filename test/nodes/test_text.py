"""Captions at a rate and questions by service, from a camera's picture to the words, with nothing faked between."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bench import Bench, picture
from blips import build_engine, build_route

from vision_llm_ros.config import RuntimeConfig
from vision_llm_ros.interfaces import Engine
from vision_llm_ros.language.parser import CommandParser
from vision_llm_ros.msg import ResultInfo
from vision_llm_ros.runtime.engine import load_engine
from vision_llm_ros.srv import Ask

pytestmark = pytest.mark.ros
numbers = itertools.count()
Start = Callable[[Engine], Bench]


@pytest.fixture
def start(ros_context: None) -> Iterator[Start]:
    running: list[Bench] = []

    def begin(engine: Engine) -> Bench:
        running.append(Bench(f"text{next(numbers)}", engine, {}, CommandParser().parse))
        return running[-1].ready()

    yield begin
    for bench in running:
        bench.close()


@pytest.fixture(scope="module")
def engine(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return build_engine(build_route(tiny_folder, tmp_path_factory.mktemp("weights")))


def frame() -> Any:
    return picture(width=64, height=48)


def asked(bench: Bench, text: str, timeout_s: float = 5.0) -> Any:
    client = bench.client.create_client(Ask, "perception/ask")
    bench.wait(client.service_is_ready)
    request = Ask.Request(text=text, use_image=True, image=frame(), timeout_s=timeout_s)
    answer = client.call_async(request)
    bench.wait(answer.done, timeout_s + 3.0, "no response")
    return answer.result()


def test_captions_come_no_faster_than_asked_for(start: Start, engine: Engine) -> None:
    bench = start(engine)
    bench.say("describe the scene at 2 hz")
    bench.accepted()
    deadline = time.monotonic() + 30.0
    while len(bench.got["caption"]) < 4:
        assert time.monotonic() < deadline, f"{len(bench.got['caption'])} captions"
        bench.show(frame())
        bench.rest(0.04)
    captions = bench.got["caption"]
    stamps = [each.header.stamp.sec + each.header.stamp.nanosec * 1e-9 for each in captions]
    assert stamps == sorted(set(stamps))
    assert stamps[3] - stamps[0] > 1.0, "three intervals of half a second, and what a busy machine may delay the first"
    assert all(each.text and 0 < each.score <= 1 and each.header.frame_id == "optical" for each in captions)
    assert all(each.info.status in (ResultInfo.OK, ResultInfo.STALE) for each in captions)


def test_a_question_asked_by_service_is_answered(start: Start, engine: Engine) -> None:
    bench = start(engine)
    answer = asked(bench, "how many dogs are there?")
    assert answer.success, answer.message
    assert answer.understood.task == "answer"
    assert answer.caption.question == "how many dogs are there?"
    assert answer.caption.text == "not sure" or answer.caption.text.isdigit()
    assert bench.got["caption"] == []


def test_a_sentence_is_matched_with_the_picture_by_service(start: Start, engine: Engine) -> None:
    answer = asked(start(engine), 'does this match "a dog on a chair"?')
    assert answer.success, answer.message
    assert answer.understood.task == "match"
    assert answer.caption.text in ("yes", "no") and 0 <= answer.caption.score <= 1


@pytest.mark.slow
def test_the_shipped_weights_answer_by_service(start: Start) -> None:
    engine = load_engine("nano", RuntimeConfig(device="cpu", dtype="float32"))
    bench = start(engine)
    told = asked(bench, "describe the scene", 60.0)
    assert told.success and len(told.caption.text.split()) >= 3
    answer = asked(bench, "is there an elephant?", 60.0)
    assert answer.success and answer.caption.text == "no"
    assert answer.caption.score > 0.8
