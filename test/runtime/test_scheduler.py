from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import EVERYTHING, fake_parse

from vision_llm_ros.config import NodeConfig
from vision_llm_ros.interfaces import Command, CommandState, Mode, Prompt, PromptKind, Task, TaskSpec
from vision_llm_ros.language.parser import CommandParser
from vision_llm_ros.language.plan import Planner
from vision_llm_ros.runtime.scheduler import REMEMBERED_IDS, CommandBook

State = CommandState


def make_book(cameras: tuple[str, ...] = ("",), tasks: frozenset[Task] = EVERYTHING, **config: float) -> CommandBook:
    return CommandBook(fake_parse, tasks, NodeConfig(**config), cameras)


def answer(book: CommandBook, now: float, camera: str = "", **kept: object) -> list[str]:
    """Answer everything due; return the ids."""
    due = book.due(camera, now)
    for entry in due:
        book.answered(*entry.key, camera, now, **kept)
    return [entry.id for entry in due]


def test_say_back_names_id_generation_and_what_was_understood() -> None:
    (event,) = make_book().submit(Command("watch dog,cat at 2", id="a"), 0.0)
    assert (event.state, event.command_id, event.generation) == (State.ACCEPTED, "a", 1)
    assert event.spec is not None and event.spec.classes == ("dog", "cat") and event.spec.rate_hz == 2.0
    assert "dog" in event.text and "2" in event.text


def test_ids_are_made_when_empty_and_never_taken_twice() -> None:
    book = make_book()
    book.submit(Command("watch dog", id="c1"), 0.0)
    made = [book.submit(Command("watch cat"), 0.0)[-1].command_id for _ in range(3)]
    assert len({"c1", *made}) == 4


def test_once_command_answers_once_then_is_finished() -> None:
    book = make_book()
    book.submit(Command("detect dog", id="a"), 0.0)
    (entry,) = book.due("", 0.0)
    (event,) = book.answered(*entry.key, "", 0.1)
    assert event.state is State.FINISHED
    assert book.due("", 1.0) == () and book.live == ()


def test_once_command_whose_engine_failed_says_how() -> None:
    book = make_book()
    book.submit(Command("detect dog", id="a"), 0.0)
    (event,) = book.answered("a", 1, "", 0.1, failure="out of memory")
    assert (event.state, event.text) == (State.FAILED, "out of memory")


def test_once_command_waits_for_a_frame_that_can_be_used() -> None:
    book = make_book(default_rate_hz=5.0)
    book.submit(Command("detect dog", id="a"), 0.0)
    assert book.answered("a", 1, "", 0.0, final=False) == ()
    assert book.due("", 0.1) == ()
    assert [entry.id for entry in book.due("", 0.2)] == ["a"]


def test_continuous_command_stays_live_through_failures() -> None:
    book = make_book()
    book.submit(Command("watch dog at 10", id="a"), 0.0)
    assert book.answered("a", 1, "", 0.0, failure="out of memory") == ()
    assert answer(book, 0.2) == ["a"]


@pytest.mark.parametrize("camera_hz", [30.0, 12.0, 10.0])
def test_rate_is_kept_on_average_whatever_the_rhythm_of_the_camera(camera_hz: float) -> None:
    book = make_book()
    book.submit(Command("watch dog at 5", id="a"), 0.0)
    answers = sum(len(answer(book, frame / camera_hz)) for frame in range(int(60 * camera_hz)))
    assert abs(answers - 300) <= 1


def test_rate_above_what_the_engine_gives_means_as_fast_as_possible() -> None:
    book = make_book()
    book.submit(Command("watch dog at 5", id="a"), 0.0)
    assert all(answer(book, step * 0.25) == ["a"] for step in range(40))


def test_no_burst_follows_a_pause() -> None:
    book = make_book()
    book.submit(Command("watch dog at 5", id="a"), 0.0)
    answer(book, 0.0)
    answered = [now for now in (10.0, 10.01, 10.02, 10.03, 10.25) if answer(book, now)]
    assert answered == [10.0, 10.25]


def test_default_rate_serves_commands_that_name_none() -> None:
    book = make_book(default_rate_hz=2.0)
    (event,) = book.submit(Command("watch dog"), 0.0)
    assert event.spec is not None and event.spec.rate_hz == 2.0


def test_restoration_without_a_rate_is_slow_so_that_others_are_not_starved() -> None:
    book = CommandBook(CommandParser().parse, EVERYTHING)
    for text in ("denoise the picture continuously", "clean up the image and find the dog continuously"):
        (event,) = book.submit(Command(text), 0.0)
        assert event.spec is not None
        assert event.spec.rate_hz == 0.5


def test_a_model_that_cannot_restore_refuses_to_restore_first() -> None:
    book = CommandBook(CommandParser().parse, (Task.DETECT, Task.STOP))
    (event,) = book.submit(Command("clean up the image and find every dog"), 0.0)
    assert event.state is State.REFUSED
    assert "cannot restore" in event.text


def test_with_a_mark_this_is_what_it_marks() -> None:
    book = CommandBook(CommandParser().parse, EVERYTHING)
    point = Prompt(PromptKind.POINT, ((0.75, 0.2),))
    spec = book.submit(Command("track this", region=point), 0.0)[-1].spec
    assert spec is not None
    assert (spec.task, spec.prompt, spec.max_objects, len(spec.classes)) == (Task.TRACK, point, 1, 80)
    assert "too vague" in book.submit(Command("track this"), 0.0)[-1].text


def test_fields_of_the_command_outrank_its_words() -> None:
    book = make_book()
    command = Command("detect dog", rate_hz=4.0, region=(0.0, 0.0, 0.5, 0.5))
    spec = book.submit(command, 0.0)[-1].spec
    assert spec is not None
    assert (spec.mode, spec.rate_hz, spec.region) == (Mode.CONTINUOUS, 4.0, (0.0, 0.0, 0.5, 0.5))
    once = book.submit(Command("watch dog at 4", mode=Mode.ONCE), 0.0)[-1].spec
    assert once is not None and (once.mode, once.rate_hz) == (Mode.ONCE, 0.0)


def test_time_to_live_ends_a_command() -> None:
    book = make_book(time_to_live_s=60.0)
    book.submit(Command("watch dog", id="short", time_to_live_s=2.0), 0.0)
    book.submit(Command("watch cat", id="long"), 0.0)
    assert book.next_expiry_s() == 2.0
    assert [entry.id for entry in book.due("", 2.0)] == ["long"]
    (event,) = book.expire(2.0)
    assert (event.state, event.command_id) == (State.EXPIRED, "short")
    assert [entry.id for entry in book.live] == ["long"]


def test_time_to_live_in_the_words_is_kept() -> None:
    book = CommandBook(lambda _: TaskSpec(Task.DETECT, ("dog",), mode=Mode.CONTINUOUS, time_to_live_s=3.0), EVERYTHING)
    book.submit(Command("watch for dogs for 3 seconds"), 0.0)
    assert book.next_expiry_s() == 3.0


def test_higher_priority_comes_first_then_who_waited_longest() -> None:
    book = make_book()
    for number, (name, priority) in enumerate((("late", 0), ("urgent", 5), ("early", 0))):
        book.submit(Command("watch dog", id=name, priority=priority), {"late": 2.0, "urgent": 3.0, "early": 1.0}[name])
        assert len(book.live) == number + 1
    assert [entry.id for entry in book.due("", 4.0)] == ["urgent", "early", "late"]


def test_resending_a_live_id_replaces_it_with_the_next_generation() -> None:
    book = make_book()
    book.submit(Command("watch dog", id="a"), 0.0)
    replaced, accepted = book.submit(Command("watch cat", id="a"), 1.0)
    assert (replaced.state, replaced.generation) == (State.REPLACED, 1)
    assert (accepted.state, accepted.generation) == (State.ACCEPTED, 2)
    assert not book.is_live("a", 1) and book.is_live("a", 2)
    assert [entry.spec.classes for entry in book.due("", 1.0)] == [("cat",)]


def test_generations_go_on_after_a_command_has_ended() -> None:
    book = make_book()
    generations = []
    for now in range(3):
        generations.append(book.submit(Command("detect dog", id="a"), now)[-1].generation)
        answer(book, now)
    assert generations == [1, 2, 3]


def test_answer_for_a_replaced_generation_changes_nothing() -> None:
    book = make_book()
    book.submit(Command("detect dog", id="a"), 0.0)
    book.submit(Command("detect cat", id="a"), 0.0)
    assert book.answered("a", 1, "", 0.1) == ()
    assert book.is_live("a", 2)


def test_refused_replacement_leaves_the_live_command_alone() -> None:
    book = make_book()
    book.submit(Command("watch dog", id="a"), 0.0)
    (event,) = book.submit(Command("open the door", id="a"), 1.0)
    assert (event.state, event.generation, event.nearest) == (State.REFUSED, 0, "detect person")
    assert book.is_live("a", 1)


def test_stop_ends_the_named_command_only() -> None:
    book = make_book()
    book.submit(Command("watch dog", id="a"), 0.0)
    book.submit(Command("watch cat", id="b"), 0.0)
    stopped, own = book.submit(Command("", id="a", mode=Mode.STOP), 1.0)
    assert (stopped.state, stopped.command_id) == (State.STOPPED, "a")
    assert own.state is State.FINISHED and own.spec is not None and own.spec.task is Task.STOP
    assert [entry.id for entry in book.live] == ["b"]


def test_stop_in_words_ends_what_it_names_or_everything() -> None:
    book = make_book()
    for name, what in (("a", "dog"), ("b", "cat"), ("c", "cup")):
        book.submit(Command(f"watch {what}", id=name), 0.0)
    assert [event.command_id for event in book.submit(Command("stop cat"), 1.0)[:-1]] == ["b"]
    assert [event.command_id for event in book.submit(Command("stop"), 1.0)[:-1]] == ["a", "c"]
    assert book.live == ()


def test_stop_of_an_unknown_id_is_refused_and_names_the_live_ones() -> None:
    book = make_book()
    book.submit(Command("watch dog", id="a"), 0.0)
    (event,) = book.submit(Command("stop", id="x"), 1.0)
    assert event.state is State.REFUSED and "'x'" in event.text and "a" in event.text
    assert book.is_live("a", 1)


def test_stop_with_nothing_live_says_so() -> None:
    (event,) = make_book().submit(Command("stop"), 0.0)
    assert (event.state, event.text) == (State.FINISHED, "nothing to stop")


def test_further_commands_are_refused_at_the_limit_but_replacing_is_not() -> None:
    book = make_book(max_live_commands=2)
    book.submit(Command("watch dog", id="a"), 0.0)
    book.submit(Command("watch cat", id="b"), 0.0)
    (event,) = book.submit(Command("watch cup", id="c"), 0.0)
    assert event.state is State.REFUSED and "2" in event.text
    assert book.submit(Command("watch cup", id="b"), 0.0)[-1].state is State.ACCEPTED


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"rate_hz": -1.0}, "-1.0"),
        ({"rate_hz": float("nan")}, "nan"),
        ({"rate_hz": float("inf")}, "inf"),
        ({"time_to_live_s": -2.0}, "-2.0"),
        ({"region": (0.5, 0.5, 0.5, 0.9)}, "0.5"),
        ({"region": (0.0, 0.0, 1.5, 1.0)}, "1.5"),
        ({"region": (float("nan"), 0.0, 1.0, 1.0)}, "nan"),
        ({"asr_confidence": 0.41}, "0.41"),
        ({"asr_confidence": float("nan")}, "nan"),
        ({"asr_confidence": 7.0}, "7.0"),
        ({"camera": "rear"}, "'rear'"),
        ({"text": "x" * 501}, "501"),
        ({"text": "find \ufffd"}, "UTF-8"),
        ({"id": "i" * 101}, "101"),
        ({"text": "caption"}, "caption"),
    ],
)
def test_bad_commands_are_refused_with_the_value(changes: dict[str, object], named: str) -> None:
    book = make_book(tasks=frozenset({Task.DETECT}))
    (event,) = book.submit(replace(Command("watch dog"), **changes), 0.0)
    assert event.state is State.REFUSED and named in event.text
    assert len(event.command_text) <= 500 and book.live == ()


def test_unserved_task_is_refused_with_those_served() -> None:
    book = make_book(tasks=frozenset({Task.DETECT, Task.GROUND}))
    (event,) = book.submit(Command("segment cup"), 0.0)
    assert "detect, ground" in event.text


def test_every_camera_answers_a_command_that_names_none() -> None:
    book = make_book(cameras=("front", "rear"))
    book.submit(Command("detect dog", id="a"), 0.0)
    assert book.answered("a", 1, "front", 0.1) == ()
    assert book.due("front", 0.2) == ()
    assert book.answered("a", 1, "rear", 0.2)[0].state is State.FINISHED


def test_command_for_one_camera_leaves_the_others_alone() -> None:
    book = make_book(cameras=("front", "rear"))
    book.submit(Command("watch dog", camera="rear"), 0.0)
    assert not book.watches("front") and book.due("front", 1.0) == ()
    assert book.next_due_s("front") == float("inf") and book.next_due_s("rear") == 0.0


def test_rates_count_for_each_camera_by_itself() -> None:
    book = make_book(cameras=("front", "rear"))
    book.submit(Command("watch dog at 1", id="a"), 0.0)
    assert answer(book, 0.0, "front") == ["a"] and answer(book, 0.1, "rear") == ["a"]
    assert answer(book, 0.5, "front") == [] and answer(book, 1.0, "front") == ["a"]


def test_clock_that_jumps_takes_due_and_expiry_along() -> None:
    book = make_book()
    book.submit(Command("watch dog at 1", id="a", time_to_live_s=10.0), 1000.0)
    answer(book, 1000.0)
    book.shift(-1000.0)
    assert book.expire(9.0) == () and book.next_due_s("") == 1.0
    assert book.expire(10.0)[0].state is State.EXPIRED


def test_ids_of_the_past_do_not_fill_the_memory() -> None:
    book = make_book()
    book.submit(Command("watch dog", id="keep"), 0.0)
    for number in range(REMEMBERED_IDS + 50):
        book.submit(Command("detect dog", id=f"n{number}"), 0.0)
        book.end(f"n{number}", 1, "enough")
    assert len(book._generations) <= REMEMBERED_IDS + 1
    assert book.submit(Command("watch dog", id="keep"), 0.0)[-1].generation == 2


def test_what_is_asked_for_instead_is_accepted_after_the_stop() -> None:
    book = CommandBook(Planner(CommandParser().parse).parse, EVERYTHING, NodeConfig())
    book.submit(Command("track the goat", id="a"), 0.0)
    book.submit(Command("track the cat", id="b"), 0.0)
    stopped, done, own = book.submit(Command("stop tracking the goat and track the sheep", id="c"), 1.0)
    assert (stopped.state, stopped.command_id) == (State.STOPPED, "a")
    assert (done.state, done.text) == (State.FINISHED, "stopped a")
    assert (own.state, own.command_id) == (State.ACCEPTED, "c")
    assert [(entry.id, entry.spec.classes, entry.spec.rate_hz > 0) for entry in book.live] == [
        *(("b", ("cat",), True), ("c", ("sheep",), True))
    ]


def test_a_stop_goes_before_nothing_that_cannot_be_served() -> None:
    book = CommandBook(Planner(CommandParser().parse).parse, EVERYTHING - {Task.TRACK}, NodeConfig())
    book.submit(Command("watch for dogs", id="a"), 0.0)
    (event,) = book.submit(Command("stop looking for dogs and track the sheep"), 1.0)
    assert event.state is State.REFUSED and "cannot track" in event.text and book.is_live("a", 1)
