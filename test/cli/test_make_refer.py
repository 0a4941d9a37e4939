from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest
from fakes import FakeEngine
from miniature import tiny_config
from tiny import Shapes, write_shapes

from vision_llm_ros.cli import build_parser, main, make_refer
from vision_llm_ros.cli.eval import measure
from vision_llm_ros.config import MaskTrainConfig
from vision_llm_ros.training.datasets import load_expressions, load_instances
from vision_llm_ros.training.make_refer import Question
from vision_llm_ros.training.refer_data import ReferData


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Shapes:
    return write_shapes(tmp_path_factory.mktemp("shapes"))


def made(shapes: Shapes, out: Path, *more: str) -> int:
    where = ["--annotations", str(shapes.annotations), "--images", str(shapes.images), "--out", str(out), "--quiet"]
    return main(["make-refer", *where, *more])


def test_file_is_read_as_referring_expressions(
    shapes: Shapes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "r.json"
    assert made(shapes, out, "--per-picture", "4", "--seed", "3") == 0
    dataset = load_instances(shapes.annotations, shapes.images)
    expressions, notes = load_expressions(out, dataset)
    assert notes == () and len(expressions) > 8
    assert f"{out}: {len(expressions)} questions" in capsys.readouterr().out
    values = json.loads(out.read_text())
    assert (values["target"], values["info"]["words"], values["info"]["settings"]["seed"]) == ("mask", "by rule", 3)
    record = values["expressions"][0]
    assert record["text_answer"].count("{seg}") == len(record["annotation_ids"])
    assert record["sentence"] in record["question"]


def test_file_trains_and_evaluates(shapes: Shapes, tmp_path: Path, tiny_folder: Path) -> None:
    out = tmp_path / "r.json"
    made(shapes, out)
    data = ReferData(tiny_config(tiny_folder), MaskTrainConfig(), shapes.annotations, shapes.images, [out])
    assert data.expressions == len(json.loads(out.read_text())["expressions"])
    assert all(batch.phrases for batch in data.draw(3, (0,)))
    files = ["--annotations", str(shapes.annotations), "--images", str(shapes.images), "--referring", str(out)]
    args = build_parser().parse_args(["eval", "refer", *files, "--out", str(tmp_path / "e.json"), "--quiet"])
    report = measure(args, lambda *_: FakeEngine())
    assert report["sentences"] == data.expressions
    assert {"unique", "multi", "absent"} <= set(report["per_kind"])


def test_preview_is_drawn_from_the_file(shapes: Shapes, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    assert made(shapes, tmp_path / "r.json", "--preview", str(sheet)) == 0
    drawn = cv2.imread(str(sheet))
    assert drawn.shape == (4 * 306 + 6, 4 * 306 + 6, 3)


def test_interrupted_run_writes_what_it_has(
    shapes: Shapes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = make_refer.make_questions

    def interrupted(*args: object) -> object:
        for number, asked in enumerate(whole(*args)):  # type: ignore[arg-type]
            if number == 3:
                raise KeyboardInterrupt
            yield asked

    monkeypatch.setattr(make_refer, "make_questions", interrupted)
    assert made(shapes, tmp_path / "r.json") == 130
    assert "interrupted" in capsys.readouterr().err
    assert len({item["image_id"] for item in json.loads((tmp_path / "r.json").read_text())["expressions"]}) == 3


def test_words_of_an_endpoint_that_is_away_are_those_of_the_rule(
    shapes: Shapes, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vision_llm_ros.training.chat.time.sleep", lambda _: None)
    endpoint = ["--llm-endpoint", "http://127.0.0.1:9/v1", "--llm-model", "tiny", "--llm-timeout-s", "1"]
    assert made(shapes, tmp_path / "with.json", *endpoint) == 0
    assert "the endpoint was given up: http://127.0.0.1:9/v1 failed" in capsys.readouterr().out
    made(shapes, tmp_path / "without.json")
    files = [json.loads((tmp_path / name).read_text()) for name in ("with.json", "without.json")]
    assert files[0]["expressions"] == files[1]["expressions"]
    assert files[0]["info"]["outcome"] == {"unasked": len(files[0]["expressions"])}


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["--llm-model", "tiny"], "--llm-model tiny needs --llm-endpoint"),
        (["--llm-endpoint", "localhost", "--llm-model", "tiny"], "http://HOST/v1"),
        (["--llm-endpoint", "http://x/v1", "--llm-model", "tiny", "--llm-parallel", "0"], "1..64"),
        (["--per-picture", "0"], "per_picture: expected at least 1, got 0"),
        (["--limit", "-1"], "--limit"),
    ],
)
def test_bad_options_are_refused_before_the_work(
    shapes: Shapes, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], reason: str
) -> None:
    assert made(shapes, tmp_path / "r.json", *more) == 1
    assert reason in capsys.readouterr().err
    assert not (tmp_path / "r.json").exists()


def test_annotations_without_masks_are_refused(
    shapes: Shapes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = json.loads(shapes.annotations.read_text())
    for item in values["annotations"]:
        item["segmentation"] = []
    bare = tmp_path / "bare.json"
    bare.write_text(json.dumps(values))
    assert made(Shapes(bare, shapes.images, shapes.referring), tmp_path / "r.json") == 1
    assert "no picture whose objects all have masks" in capsys.readouterr().err


def test_a_question_is_told_with_its_targets() -> None:
    question = Question(4, "the dog", "Segment the dog.", "The dog is {seg}.", (("the dog", (9,)),), "unique")
    assert question.values(2) == {
        **{"id": 2, "image_id": 4, "sentence": "the dog", "annotation_ids": [9], "kind": "unique"},
        **{"question": "Segment the dog.", "text_answer": "The dog is {seg}."},
        "phrases": [{"text": "the dog", "annotation_ids": [9]}],
    }
