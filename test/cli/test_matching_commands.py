from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from blips import build_engine, build_route
from captions import write_captions
from miniature import pictures
from tiny import Shapes, write_shapes

from vision_llm_ros.cli import main
from vision_llm_ros.runtime import engine as room
from vision_llm_ros.training.datasets import load_captions


@pytest.fixture(scope="module", autouse=True)
def engine(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Every command gets the miniature with a random Q-Former."""
    threads, before = torch.get_num_threads(), room.load_engine
    made = build_engine(build_route(tiny_folder, tmp_path_factory.mktemp("weights")))
    room.load_engine = lambda *args, **kwargs: made
    yield
    room.load_engine = before
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("pictures")
    for number, picture in enumerate(pictures(5, 120, seed=3)):
        cv2.imwrite(str(found / f"{number}.png"), picture.permute(1, 2, 0).numpy())
    (found / "broken.png").write_bytes(b"no picture")
    return found


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Shapes:
    return write_shapes(tmp_path_factory.mktemp("shapes"), 6)


@pytest.fixture(scope="module")
def captions(shapes: Shapes) -> Path:
    return write_captions(shapes)


def test_match_judges_every_sentence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["match", str(folder / "0.png"), "a dog", "a red cup", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert [value["sentence"] for value in values["sentences"]] == ["a dog", "a red cup"]
    for value in values["sentences"]:
        assert value["fits"] == (value["probability"] >= values["threshold"])
        assert -1 <= value["similarity"] <= 1
        assert 0 <= value["itm_probability"] <= 1


def test_match_takes_a_threshold_of_ones_own(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["match", str(folder / "0.png"), "a dog", "--threshold", "0"]) == 0
    assert capsys.readouterr().out.startswith("fits: a dog  (probability")
    assert main(["match", str(folder / "0.png"), "a dog", "--threshold", "1.1"]) == 0
    assert capsys.readouterr().out.startswith("does not fit: a dog")


def test_match_refuses_an_empty_sentence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["match", str(folder / "0.png"), " "]) == 1
    assert "Expected a sentence, got an empty one" in capsys.readouterr().err


def test_find_ranks_pictures_and_passes_over_broken_ones(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--json", str(tmp_path / "out" / "found.json"), "--sheet", str(tmp_path / "sheet.png"), "--quiet"]
    assert main(["find", str(folder), "a dog", "--count", "3", *options]) == 0
    found = json.loads((tmp_path / "out" / "found.json").read_text())["found"]
    assert len(found) == 3
    assert [each["probability"] for each in found] == sorted((e["probability"] for e in found), reverse=True)
    assert {each["source"] for each in found} <= {f"{number}.png" for number in range(5)}
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet is not None
    assert sheet.shape[1] > 3 * 240
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_the_shortlist_keeps_the_most_similar(folder: Path, tmp_path: Path) -> None:
    values = []
    for shortlist in ("2", "5"):
        path = tmp_path / f"{shortlist}.json"
        assert main(["find", str(folder), "a dog", "--count", "2", "--shortlist", shortlist, "--json", str(path)]) == 0
        values.append(json.loads(path.read_text())["found"])
    similar = sorted((each["similarity"] for each in values[1]), reverse=True)
    assert sorted((each["similarity"] for each in values[0]), reverse=True)[0] >= similar[0]


def test_find_searches_a_recording_by_stamps(folder: Path, tmp_path: Path) -> None:
    clean = tmp_path / "clean"
    clean.mkdir()
    for number in range(3):
        (clean / f"{number}.png").write_bytes((folder / f"{number}.png").read_bytes())
    assert main(["make-bag", str(clean), str(tmp_path / "bag"), "--rate", "10"]) == 0
    path = tmp_path / "found.json"
    assert main(["find", str(tmp_path / "bag"), "a dog", "--json", str(path), "--quiet"]) == 0
    found = json.loads(path.read_text())["found"]
    stamps = sorted(each["stamp_ns"] for each in found)
    assert np.allclose(np.diff(stamps), 1e8, atol=1e6)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["{folder}", "a dog", "--count", "0"], "--count: expected at least 1, got 0"),
        (["{folder}", " "], "Expected words to look for, got none"),
        (["{folder}/nowhere", "a dog"], "does not exist; name a folder of pictures or a recording"),
    ],
)
def test_find_says_what_is_wrong(
    options: list[str], told: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["find", *(each.format(folder=folder) for each in options)]) == 1
    assert told in capsys.readouterr().err


def test_capfilt_captions_a_folder(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["capfilt", str(folder), "--out", str(tmp_path / "out"), "--threshold", "0", "--quiet"]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["synthetic"] == {"judged": 5, "kept": 5}
    assert report["given"]["judged"] == 0
    assert any("broken.png" in note for note in report["notes"])
    kept = json.loads((tmp_path / "out" / "captions.json").read_text())
    assert len(kept["annotations"]) == len(kept["images"]) == 5
    read = load_captions(tmp_path / "out" / "captions.json", folder)
    assert all(picture.path.is_file() for picture in read.pictures)


def test_capfilt_measures_noise_put_in_on_purpose(shapes: Shapes, captions: Path, tmp_path: Path) -> None:
    options = ["--images", str(shapes.images), "--out", str(tmp_path), "--no-captioner", "--noise", "0.5", "--quiet"]
    assert main(["capfilt", str(captions), *options, "--threshold", "0"]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["given"] == {"judged": 12, "kept": 12}
    assert report["noise"]["recall"] == 1
    assert 0.4 <= report["noise"]["precision"] <= 0.6
    assert not report["rejected"]
    noisy, before = (load_captions(path, shapes.images) for path in (tmp_path / "noisy.json", captions))
    assert {p.path for p in noisy.pictures} == {p.path for p in before.pictures}
    assert sum(noisy.captions[i] != before.captions[i] for i in before.captions) > 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["{captions}"], "for a captions file name its pictures: --images DIR"),
        (["{folder}", "--noise", "0.3"], "--noise needs captions"),
        (["{folder}", "--noise", "1.3"], "--noise: expected 0..1, got 1.3"),
    ],
)
def test_capfilt_says_what_is_wrong(
    options: list[str], told: str, folder: Path, captions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [each.format(folder=folder, captions=captions) for each in options]
    assert main(["capfilt", *given, "--out", str(tmp_path)]) == 1
    assert told in capsys.readouterr().err


def test_perceive_answers_a_question_end_to_end(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["perceive", str(folder / "0.png"), "--say", "how many people are there?", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["caption"]["question"] == "how many people are there?"
    assert main(["perceive", str(folder / "0.png"), "--say", "describe the picture"]) == 0
    assert "OK" in capsys.readouterr().out


def test_eval_match_and_answer_report(shapes: Shapes, captions: Path, tmp_path: Path) -> None:
    where = ["--images", str(shapes.images), "--quiet"]
    out = tmp_path / "match.json"
    assert main(["eval", "match", "--captions", str(captions), *where, "--out", str(out), "--shortlist", "3"]) == 0
    report = json.loads(out.read_text())
    assert report["captions"] == 12
    assert set(report["reranked"]) == {"image_to_text", "text_to_image"}
    out = tmp_path / "pairs.json"
    assert main(["eval", "match", "--captions", str(captions), *where, "--out", str(out), "--pairs"]) == 0
    assert json.loads(out.read_text())["captions"] == 6
    out = tmp_path / "answer.json"
    asked = ["--annotations", str(shapes.annotations)]
    assert main(["eval", "answer", *asked, *where, "--out", str(out), "--limit", "3"]) == 0
    report = json.loads(out.read_text())
    assert {"presence", "count"} <= set(report["kinds"])
    assert set(report["kinds"]["count"]["baselines"]) == {"frequent", "detector", "language_model"}
    assert report["kinds"]["presence"]["baselines"]["frequent"]["accuracy"] >= 0.5


def test_eval_answer_reads_questions_of_ones_own(
    shapes: Shapes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "q.json"
    path.write_text(json.dumps({"questions": [{"image_id": 1, "question": "is there a zebra?", "answer": "no"}]}))
    options = ["--annotations", str(shapes.annotations), "--images", str(shapes.images), "--questions", str(path)]
    assert main(["eval", "answer", *options, "--out", str(tmp_path / "a.json"), "--quiet"]) == 0
    assert json.loads((tmp_path / "a.json").read_text())["questions"] == 1
    path.write_text(json.dumps({"questions": [{"image_id": 1}]}))
    assert main(["eval", "answer", *options, "--out", str(tmp_path / "b.json"), "--quiet"]) == 1
    assert "questions[0]: expected image_id, question and answer" in capsys.readouterr().err
