from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import cv2
import pytest
import tiny
import torch
from captions import write_captions

from vision_llm_ros.config import ModelConfig
from vision_llm_ros.errors import InputError
from vision_llm_ros.interfaces import Task
from vision_llm_ros.model.text_decoder import IGNORED, QUERY, Seen
from vision_llm_ros.training.text_data import TextBatch, TextData, plain

END = 1000


def see(pixels: torch.Tensor) -> Seen:
    return Seen(pixels.float().mean((2, 3)).unsqueeze(1), torch.zeros(1, 2, 4), torch.zeros(1, 2, 6))


def tokenize(text: str) -> list[int]:
    return [ord(letter) for letter in text]


def spell(ids: torch.Tensor) -> str:
    return "".join(chr(token) for token in ids.tolist() if 0 <= token < END).replace("\0", "")


@pytest.fixture
def shapes(tmp_path: Path) -> tiny.Shapes:
    return tiny.write_shapes(tmp_path / "shapes")


@pytest.fixture
def data(shapes: tiny.Shapes) -> TextData:
    captions = write_captions(shapes)
    return TextData(ModelConfig(), captions, shapes.images, shapes.annotations, tokenize, see, END)


def answers(batch: TextBatch) -> list[str]:
    """What is wanted at every text, without the end."""
    return [spell(ids[ids != IGNORED]).strip() for texts in batch.wanted for ids in texts]


def test_captions_are_learnt_in_lower_case_without_full_stop() -> None:
    assert plain("  A Man on\n a horse. ") == "a man on a horse"


def test_what_is_wanted_follows_what_is_read(data: TextData) -> None:
    for task in (Task.CAPTION, Task.ANSWER):
        batch = data.draw(task, 3, 2, (0,))
        for read, wanted in zip(batch.texts.flatten(0, 1), batch.wanted.flatten(0, 1), strict=True):
            start = int((read == QUERY).nonzero())
            told = wanted[wanted != IGNORED]
            assert int(told[-1]) == END
            assert wanted[start : start + len(told)].tolist() == told.tolist()
            assert read[start + 1 : start + len(told)].tolist() == told[:-1].tolist()
            assert (wanted[:start] == IGNORED).all()


def test_captions_belong_to_their_pictures(data: TextData) -> None:
    batch = data.draw(Task.CAPTION, 4, 0, (3,))
    texts = answers(batch)
    per_picture = len(texts) // 4
    for place in range(4):
        cells = batch.seen.cells[place, 0]
        home = [key for key, seen in data._seen.items() if torch.equal(seen.cells.float()[0, 0], cells)]
        assert set(texts[place * per_picture : (place + 1) * per_picture]) <= set(data.captions[home[0]])


def test_the_length_asked_for_is_that_of_the_captions(data: TextData) -> None:
    found = Counter()
    for seed in range(40):
        batch = data.draw(Task.CAPTION, 1, 0, (seed,))
        asked, lengths = spell(batch.asked), [len(text) for text in answers(batch)]
        if "brief" in asked:
            assert lengths[0] == min(lengths)
        if "detailed" in asked:
            assert lengths[0] == max(lengths)
        found[next((word for word in ("brief", "detailed") if word in asked), "")] += 1
    assert len(found) == 3


def test_a_batch_is_determined_by_its_seed(data: TextData) -> None:
    first, again, other = (data.draw(Task.ANSWER, 2, 3, (seed,)) for seed in (4, 4, 5))
    assert torch.equal(first.texts, again.texts)
    assert first.texts.shape != other.texts.shape or not torch.equal(first.texts, other.texts)


def test_every_token_is_counted_and_every_text_ends(data: TextData) -> None:
    counts = data.counts(END)
    assert len(counts) == END + 1
    assert counts[END] >= sum(map(len, data.captions.values()))
    assert counts[ord("1")] > 0 and counts[ord("y")] > 0
    assert counts[ord("Q")] == 0


def test_questions_are_asked_about_their_own_picture(data: TextData) -> None:
    batch = data.draw(Task.ANSWER, 4, 6, (3,))
    for place, told in enumerate(batch.wanted):
        cells = batch.seen.cells[place, 0]
        home = [key for key, seen in data._seen.items() if torch.equal(seen.cells.float()[0, 0], cells)]
        right = {(question.text, question.answer) for question in data.questions[home[0]]}
        shown = zip(batch.texts[place], told, strict=True)
        asked = [(spell(torch.cat([batch.asked, read])), spell(ids[ids != IGNORED]).strip()) for read, ids in shown]
        assert all(any(text in whole and said == answer for text, answer in right) for whole, said in asked)


def test_what_all_questions_begin_with_is_read_once(data: TextData) -> None:
    found = [data.draw(Task.ANSWER, 2, 3, (seed,)) for seed in range(12)]
    assert any(len(batch.asked) > 20 for batch in found)
    for batch in found:
        starts = {tuple(ids[:1].tolist()) for texts in batch.texts for ids in texts}
        assert len(starts) > 1


def test_without_annotations_nothing_is_asked(shapes: tiny.Shapes) -> None:
    data = TextData(ModelConfig(), write_captions(shapes), shapes.images, None, tokenize, see, END)
    assert not data.questions


def test_a_bad_picture_is_replaced_and_named(
    data: TextData, shapes: tiny.Shapes, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(2, 9):
        (shapes.images / f"{number}.png").write_bytes(b"no picture")
    batch = data.draw(Task.CAPTION, 3, 0, (1,))
    only = cv2.imread(str(shapes.images / "1.png"))[:, :, ::-1].mean((0, 1))
    assert torch.allclose(batch.seen.cells[:, 0], torch.from_numpy(only.copy()).float().expand(3, 3), atol=2.0)
    assert "another picture takes its place" in caplog.text


def test_only_bad_pictures_end_with_a_reason(data: TextData, shapes: tiny.Shapes) -> None:
    for path in shapes.images.glob("*.png"):
        path.unlink()
    with pytest.raises(InputError, match="20 pictures in a row cannot be read"):
        data.draw(Task.CAPTION, 1, 0, (1,))


def test_captions_without_pictures_are_refused(shapes: tiny.Shapes) -> None:
    empty = shapes.images / "empty.json"
    empty.write_text(json.dumps({"images": [], "annotations": []}))
    with pytest.raises(InputError, match="no images"):
        TextData(ModelConfig(), empty, shapes.images, None, tokenize, see, END)
