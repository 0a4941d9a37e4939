from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from vision_llm_ros.cli import main, perceive
from vision_llm_ros.config import RuntimeConfig
from vision_llm_ros.errors import CommandError
from vision_llm_ros.interfaces import (
    Box,
    Detection,
    Frame,
    Mask,
    Mode,
    Perception,
    Prompt,
    PromptKind,
    Status,
    Task,
    TaskSpec,
)


class OneBoxEngine:
    """Finds the first class of every spec in the left half of the picture."""

    name, weights_hash, device, dtype = "fake", "0" * 12, "cpu", "float32"
    tasks = frozenset({Task.DETECT, Task.SEGMENT})

    def __init__(self) -> None:
        self.frames: list[Frame] = []

    def warm_up(self) -> None: ...

    def perceive(self, frame: Frame, specs: tuple[TaskSpec, ...]) -> tuple[Perception, ...]:
        self.frames.append(frame)
        width, height = frame.size_wh_px
        box: Box = (0.0, 0.0, width / 2, float(height))
        if specs[0].task is Task.SEGMENT:
            return (segmented(width, height, specs[0]),)
        return tuple(
            Perception(spec.task, detections=(Detection(spec.classes[0], 0, 0.75, box),))
            if spec.classes
            else Perception(spec.task, Status.NOTHING_FOUND)
            for spec in specs
        )


def segmented(width: int, height: int, spec: TaskSpec) -> Perception:
    """The left half and the upper half; nothing for a zebra."""
    if spec.phrase == "zebra":
        return Perception(spec.task, Status.NOTHING_FOUND, "no zebra")
    left, upper = np.zeros((2, height, width), np.bool_)
    left[:, : width // 2] = True
    upper[: height // 2] = True
    boxes: tuple[Box, Box] = (0.0, 0.0, width / 2, float(height)), (0.0, 0.0, float(width), height / 2)
    return Perception(spec.task, masks=(Mask("mug", 0.9, left, boxes[0]), Mask("spoon", 0.5, upper, boxes[1])))


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> OneBoxEngine:
    engine = OneBoxEngine()

    def understand(text: str, region: Box | None = None) -> TaskSpec:
        if text == "caption this":
            return TaskSpec(Task.CAPTION)
        if text.startswith("segment "):
            return TaskSpec(Task.SEGMENT, phrase=text[8:])
        if text.startswith("find "):
            return TaskSpec(Task.DETECT, (text[5:],), region=region or (0, 0, 1, 1))
        raise CommandError(f"not understood: {text!r}", "find dog")

    def load(preset: str, runtime: RuntimeConfig) -> OneBoxEngine:
        return engine

    monkeypatch.setattr(perceive, "understand", understand)
    monkeypatch.setattr(perceive, "load", load)
    return engine


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    image = np.zeros((60, 80, 3), np.uint8)
    image[..., 2] = 255  # red in OpenCV's order
    cv2.imwrite(str(tmp_path / "red.png"), image)
    return tmp_path / "red.png"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--point", "0.5"], "--point expects X,Y"),
        (["--point", "0.5,x"], "--point expects X,Y"),
        (["--region", "0.9,0,0.1,1"], "did you mean 0.1,0,0.9,1"),
        (["--polygon", "0,0,1,1"], "--polygon expects X0,Y0,X1,Y1,..."),
        (["--scribble", "0,0,2,1,0.5,0.5"], "got 2; divide pixels by its size"),
    ],
)
def test_a_mark_that_is_none_is_refused_naming_its_option(
    picture: Path, engine: OneBoxEngine, capsys: pytest.CaptureFixture[str], options: list[str], reason: str
) -> None:
    assert main(["perceive", str(picture), "--say", "find a dog", *options]) == 1
    assert reason in capsys.readouterr().err


def test_an_open_polygon_is_closed() -> None:
    args = argparse.Namespace(region=None, point=None, polygon="0,0,0.5,0,0,1", scribble=None)
    region = perceive.region_of(args)
    assert isinstance(region, Prompt)
    assert (region.kind, len(region.points_xy)) == (PromptKind.POLYGON, 4)


def test_json_carries_box_in_source_pixels(
    engine: OneBoxEngine, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["perceive", str(picture), "--say", "find dog", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["detections"][0]["box_xyxy_px"] == [0, 0, 40, 60]
    assert (values["command"]["classes"], values["status"], values["model"]) == (["dog"], "OK", "fake")


def test_engine_sees_rgb(engine: OneBoxEngine, picture: Path) -> None:
    main(["perceive", str(picture), "--say", "find dog"])
    assert tuple(engine.frames[0].image_rgb_u8[0, 0]) == (255, 0, 0)


def test_drawn_picture_has_the_size_of_the_source(engine: OneBoxEngine, picture: Path, tmp_path: Path) -> None:
    assert main(["perceive", str(picture), "--say", "find dog", "--draw", str(tmp_path / "new" / "out.png")]) == 0
    assert cv2.imread(str(tmp_path / "new" / "out.png")).shape == (60, 80, 3)


def test_text_output_names_label_and_status(
    engine: OneBoxEngine, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["perceive", str(picture), "--say", "find dog", "--region", "0,0,0.5,1"])
    out = capsys.readouterr().out
    assert "dog" in out and "0.75" in out and "OK" in out


def test_masks_are_listed_drawn_and_written_as_numbers(
    engine: OneBoxEngine, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn, numbers = tmp_path / "drawn.png", tmp_path / "numbers.png"
    command = ["perceive", str(picture), "--say", "segment mug and spoon"]
    assert main([*command, "--draw", str(drawn), "--masks", str(numbers)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == "mug 0.90 box 0 0 40 60 mask 2400 px".split()
    assert lines[1].startswith("spoon")
    labels = cv2.imread(str(numbers), cv2.IMREAD_UNCHANGED)
    assert labels.shape == (60, 80)
    assert (labels[5, 5], labels[50, 5], labels[5, 70], labels[50, 70]) == (1, 1, 2, 0)
    assert tuple(cv2.imread(str(drawn))[20, 60]) != (0, 0, 255)  # the red of the picture


def test_no_mask_is_said_and_written_as_zeros(
    engine: OneBoxEngine, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers = tmp_path / "numbers.png"
    assert main(["perceive", str(picture), "--say", "segment zebra", "--masks", str(numbers)]) == 0
    assert capsys.readouterr().out.startswith("NOTHING_FOUND: no zebra")
    assert not cv2.imread(str(numbers), cv2.IMREAD_UNCHANGED).any()


def test_masks_are_not_written_in_a_lossy_format(
    engine: OneBoxEngine, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["perceive", str(picture), "--say", "segment mug", "--masks", "numbers.jpg"]) == 1
    assert "expected a .png" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file"), (b"", "empty"), (b"not a picture", "decoded"), (b"\x89PNG\r\n", "decoded")],
)
def test_unreadable_picture_is_named(
    engine: OneBoxEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, reason: str
) -> None:
    path = tmp_path / "bad.png"
    if content is not None:
        path.write_bytes(content)
    assert main(["perceive", str(path), "--say", "find dog"]) == 1
    assert "bad.png" in (error := capsys.readouterr().err) and reason in error


def test_folder_instead_of_picture_is_an_error(
    engine: OneBoxEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["perceive", str(tmp_path), "--say", "find dog"]) == 1
    assert "directory" in capsys.readouterr().err


def test_task_without_head_says_what_is_served(
    engine: OneBoxEngine, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["perceive", str(picture), "--say", "caption this"]) == 1
    assert "detect" in capsys.readouterr().err


@pytest.mark.parametrize("region", ["0,0,1", "a,b,c,d", "0,0,2,1", "0.5,0,0.5,1"])
def test_bad_region_is_named(
    engine: OneBoxEngine, picture: Path, capsys: pytest.CaptureFixture[str], region: str
) -> None:
    assert main(["perceive", str(picture), "--say", "find dog", "--region", region]) == 1
    assert "region" in capsys.readouterr().err


def test_picture_cannot_be_written_with_unknown_suffix(
    engine: OneBoxEngine, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["perceive", str(picture), "--say", "find dog", "--draw", "out.xyz"]) == 1
    assert ".xyz" in capsys.readouterr().err


def test_stop_is_refused_for_a_single_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    class Parser:
        def __init__(self, similarity: object) -> None: ...

        def parse(self, text: str) -> TaskSpec:
            return TaskSpec(Task.STOP, mode=Mode.STOP)

    monkeypatch.setattr("vision_llm_ros.language.parser.CommandParser", Parser)
    monkeypatch.setattr("vision_llm_ros.model.text.load_text_similarity", object)
    with pytest.raises(CommandError, match="nothing to stop"):
        perceive.understand("stop")


def test_back_ends_and_their_checkpoints_reach_the_engine(
    picture: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given: list[RuntimeConfig] = []

    def load(preset: str, runtime: RuntimeConfig) -> OneBoxEngine:
        given.append(runtime)
        return OneBoxEngine()

    monkeypatch.setattr(perceive, "load", load)
    options = ["--backend", "detect=experts", "--backend", "caption=mine", "--expert-detector", str(tmp_path)]
    assert main(["perceive", str(picture), "--say", "find every dog", *options]) == 0
    assert (given[0].backends, given[0].expert_detector) == (("detect=experts", "caption=mine"), str(tmp_path))


def test_what_the_grammar_does_not_know_is_read_by_the_engines_language_model(
    picture: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Reader:
        threshold = 0.5

        def route(self, text: str) -> tuple[str, float]:
            return "<module>detect</module><instruction>the mugs</instruction><region></region>", 0.8

    engine = OneBoxEngine()
    engine.router = Reader()  # type: ignore[attr-defined]
    monkeypatch.setattr(perceive, "load", lambda *_: engine)
    say = "be so good as to rootle about until the mugs come to light"
    assert main(["perceive", str(picture), "--say", say, "--json"]) == 0
    command = json.loads(capsys.readouterr().out)["command"]
    assert (command["classes"], command["read_by"], command["confidence"]) == (["mug"], "language model", 0.8)


def test_an_instruction_itself_is_read_with_its_own_classes_and_tokens(
    picture: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(perceive, "load", lambda *_: OneBoxEngine())
    say = 'find every <class>. <class>={"green mug":<c7>} <range>=[-512,512] output: (c,x1,y1,x2,y2)'
    assert main(["perceive", str(picture), "--say", say, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["command"]["classes"] == ["green mug"]
    assert [item["label"] for item in told["detections"]] == ["green mug"]
