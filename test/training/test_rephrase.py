"""A language model behind an endpoint, played by a local server."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from vision_llm_ros.errors import ConfigError, EngineError, InputError
from vision_llm_ros.training.chat import ChatEndpoint
from vision_llm_ros.training.make_refer import Question
from vision_llm_ros.training.rephrase import PATIENCE, Rephraser

Reply = tuple[int, str]


def chat_reply(content: str) -> Reply:
    return 200, json.dumps({"choices": [{"message": {"role": "assistant", "content": content}}]})


@dataclass
class FakeModel:
    """Attributes:
    replies: the next replies; when empty, `usual` answers the request.
    """

    url: str = ""
    replies: list[Reply] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    delay_s: float = 0.0

    def answer(self, request: dict[str, Any]) -> Reply:
        self.requests.append(request)
        time.sleep(self.delay_s)
        return self.replies.pop(0) if self.replies else self.usual(request)

    def usual(self, request: dict[str, Any]) -> Reply:
        given = json.loads(request["messages"][1]["content"])
        told = {key: given[key].replace("cup", "mug") for key in ("sentence", "question", "answer")}
        return chat_reply(f"Here you are:\n```json\n{json.dumps(told)}\n```")

    def endpoint(self, **settings: Any) -> ChatEndpoint:
        return ChatEndpoint(self.url, "tiny", **{"pause_s": 0.01, "timeout_s": 5.0, **settings})


@pytest.fixture
def model() -> Iterator[FakeModel]:
    fake = FakeModel()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            fake.keys.append(self.headers.get("Authorization", ""))
            assert self.path == "/v1/chat/completions"
            status, body = fake.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            with contextlib.suppress(OSError):  # the client has left
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body.encode())

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_port}/v1"
    yield fake
    server.shutdown()
    server.server_close()
    thread.join()


def question(number: int = 1) -> Question:
    said = f"the cup {number}"
    return Question(0, said, f"Segment {said}.", f"The cup {number} is {{seg}}.", ((said, (number,)),), "unique")


def run(endpoint: ChatEndpoint, count: int = 1, parallel: int = 1) -> tuple[list[Question], Rephraser]:
    rephraser = Rephraser(endpoint, parallel)
    items = ((question(number), [{"class": "cup", "box": [0, 0, 1, 1]}]) for number in range(count))
    return list(rephraser.run(items)), rephraser


def test_questions_come_back_in_other_words_and_in_their_order(model: FakeModel) -> None:
    told, rephraser = run(model.endpoint(key="secret"), count=9, parallel=3)
    assert [item.sentence for item in told] == [f"the mug {number}" for number in range(9)]
    assert [item.rule_sentence for item in told] == [f"the cup {number}" for number in range(9)]
    assert told[0].text_answer == "The mug 0 is {seg}." or told[0].text_answer == "The cup 0 is {seg}."
    assert rephraser.counts == {"rephrased": 9}
    assert set(model.keys) == {"Bearer secret"}
    request = model.requests[0]
    assert request["model"] == "tiny"
    assert json.loads(request["messages"][1]["content"])["objects"] == [{"class": "cup", "box": [0, 0, 1, 1]}]


@pytest.mark.parametrize(
    "reply",
    [
        chat_reply("I cannot help with that."),
        chat_reply('{"sentence": "the mug", "question": "Mark the mug.", "answer": "no mask"}'),
        chat_reply('{"sentence": 7}'),
        chat_reply("}{"),
        (200, "<html>busy</html>"),
        (200, '{"choices": []}'),
    ],
)
def test_a_bad_answer_keeps_the_words_of_the_rule_and_is_counted(model: FakeModel, reply: Reply) -> None:
    model.replies = [reply]
    told, rephraser = run(model.endpoint(), count=2)
    assert told[0] == question(0)
    assert told[1].sentence == "the mug 1"
    assert rephraser.counts == {"bad answer": 1, "rephrased": 1}


def test_failures_that_may_pass_are_tried_again(model: FakeModel) -> None:
    model.replies = [(503, "loading"), (429, "slow down")]
    told, _ = run(model.endpoint())
    assert told[0].sentence == "the mug 0"
    assert len(model.requests) == 3


def test_a_wrong_key_ends_the_run_at_the_first_request(model: FakeModel) -> None:
    model.replies = [(401, "no such key")]
    with pytest.raises(ConfigError, match=r"refuses the request for model 'tiny': 401.*no such key"):
        run(model.endpoint())


def test_a_key_that_expires_later_loses_nothing(model: FakeModel) -> None:
    rephraser = Rephraser(model.endpoint(), 1)

    def items() -> Iterator[tuple[Question, list[dict[str, Any]]]]:
        for number in range(4):
            yield question(number), []

    usual: Callable[[dict[str, Any]], Reply] = model.usual
    model.usual = lambda request: usual(request) if len(model.requests) < 3 else (402, "no credit")  # type: ignore[method-assign]
    told = list(rephraser.run(items()))
    assert [item.sentence for item in told] == ["the mug 0", "the mug 1", "the cup 2", "the cup 3"]
    assert rephraser.counts == {"rephrased": 2, "unasked": 2}
    assert "no credit" in rephraser.given_up and len(model.requests) == 3


def test_an_endpoint_that_stays_away_is_given_up() -> None:
    endpoint = ChatEndpoint("http://127.0.0.1:9/v1", "tiny", retries=0, timeout_s=1.0)
    told, rephraser = run(endpoint, count=PATIENCE + 3)
    assert told == [question(number) for number in range(PATIENCE + 3)]
    assert rephraser.counts == {"unasked": PATIENCE + 3}
    assert "127.0.0.1:9" in rephraser.given_up


def test_a_slow_model_runs_into_the_timeout(model: FakeModel) -> None:
    model.delay_s = 0.5
    with pytest.raises(EngineError, match="failed 2 times, the last with"):
        model.endpoint(timeout_s=0.05, retries=1).ask_json("system", '{"sentence": "", "question": "", "answer": ""}')


def test_what_is_no_endpoint_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"http://HOST/v1.*'localhost:8000'"):
        ChatEndpoint("localhost:8000", "tiny")
    with pytest.raises(ConfigError, match="needs the name of a model"):
        ChatEndpoint("http://localhost:8000/v1", "")


def test_an_answer_without_json_names_what_was_said(model: FakeModel) -> None:
    model.replies = [chat_reply("Sure!")]
    with pytest.raises(InputError, match="tiny answered no JSON object: 'Sure!'"):
        model.endpoint().ask_json("system", "user")
