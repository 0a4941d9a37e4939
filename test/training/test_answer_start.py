from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from blips import TOLD, stirred
from captions import write_captions
from miniature import build_tiny
from tiny import write_shapes

from vision_llm_ros.config import InstructConfig
from vision_llm_ros.interfaces import Task
from vision_llm_ros.language.questions import CANDIDATES, Kind
from vision_llm_ros.model.blip import Blip
from vision_llm_ros.model.prompt_writer import IGNORED, PromptWriter
from vision_llm_ros.training import answer_start
from vision_llm_ros.training.align_data import AlignData
from vision_llm_ros.training.answer_start import ANSWERS, AnswerVectorTrainer, fit_projection, start_answers, stressed
from vision_llm_ros.training.datasets import load_captions, load_instances
from vision_llm_ros.training.prompted import PromptData
from vision_llm_ros.training.qformer_features import compute
from vision_llm_ros.training.question_data import make_questions

CONFIG = InstructConfig(
    steps=1, questions=6, answer_steps=30, answer_questions=128, captions_a_picture=2, save_every=30
)


@pytest.fixture(scope="module")
def trainer(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> AnswerVectorTrainer:
    """Around random weights, answers not yet learnt."""
    folder = tmp_path_factory.mktemp("answers")
    model = build_tiny(tiny_folder)
    shapes = write_shapes(folder / "pictures", 8)
    captions = load_captions(write_captions(shapes), shapes.images)
    torch.manual_seed(0)
    blip = stirred(Blip(TOLD, model))
    features = compute(model, blip.image, captions.pictures, folder / "features", fit=True)
    data = AlignData(captions, features, model.text_encoder, folder / "features")
    dataset = load_instances(folder / "pictures" / "instances.json", folder / "pictures")
    writer = PromptWriter(model.llm, 0, TOLD.tags)
    prompts = PromptData(data, writer, model.llm, make_questions(dataset, {}, 0), CONFIG.captions_a_picture)
    return AnswerVectorTrainer(blip, writer, model.llm, prompts, CONFIG, folder / "run", torch.device("cpu"))


@pytest.mark.parametrize("kind", [Kind.PRESENCE, Kind.COUNT, Kind.SIDE])
def test_invented_answers_are_any_that_the_question_allows(trainer: AnswerVectorTrainer, kind: Kind) -> None:
    data = copy.copy(trainer.data)
    data.questions = [question for question in trainer.data.questions if question.kind == kind]
    invented = set(data.ask(80, (3,), invented=True).answers)
    assert invented <= set(CANDIDATES[kind])
    assert len(invented) > len(CANDIDATES[kind]) / 2
    assert set(data.ask(80, (3,)).answers) <= {question.answer for question in data.questions}


def test_what_is_wanted_of_an_invented_answer_is_that_answer(trainer: AnswerVectorTrainer) -> None:
    batch = trainer.data.ask(8, (1,), invented=True)
    decode = trainer.llm.tokenizer.decode
    told = [
        str(decode([t for t in row if t not in (IGNORED, trainer.writer.end)])) for row in batch.wanted[:, 0].tolist()
    ]
    assert [text.strip() for text in told] == list(batch.answers)


def test_only_answer_vectors_learn_and_they_make_the_frozen_model_answer(trainer: AnswerVectorTrainer) -> None:
    frozen = copy.deepcopy(trainer.blip.state_dict())
    before = trainer.vectors.detach().clone()
    trainer.prepare()
    batch = trainer.data.ask(40, (9,), invented=True)
    start = float(trainer.loss(batch)[0].detach())
    trainer.run(lambda step, parts: None)
    torch.manual_seed(0)
    assert float(trainer.loss(batch)[0].detach()) < 0.9 * start
    assert not torch.equal(trainer.vectors, before)
    assert all(torch.equal(value, frozen[key]) for key, value in trainer.blip.state_dict().items())


def _changes(trainer: AnswerVectorTrainer, vectors: torch.Tensor) -> list[torch.Tensor]:
    """What fitting changes of the soft prompt of captions, and of questions: float[B, Q, D]."""
    blip = copy.deepcopy(trainer.blip)
    blip._shared = trainer.blip._shared
    batches = [trainer.data.describe(8, (5,)), trainer.data.ask(60, (0, 0))]
    torch.nn.init.zeros_(blip.teller.told.values.weight)
    before = [blip.soft_prompt(b.seen, *blip.image(b.seen), b.instruction) for b in batches]
    fit_projection(blip, trainer.data, vectors, CONFIG)
    after = [blip.soft_prompt(b.seen, *blip.image(b.seen), b.instruction) for b in batches]
    return [(new - old).detach() for new, old in zip(after, before, strict=True)]


def test_the_fitted_projection_adds_the_answer_and_spares_captions(
    trainer: AnswerVectorTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = 3 * torch.randn(len(ANSWERS), trainer.vectors.shape[1], generator=torch.Generator().manual_seed(2))
    captions, questions = _changes(trainer, vectors)
    answers = trainer.data.ask(60, (0, 0)).answers
    said = [row for row, answer in enumerate(answers) if not answer.isdigit()]
    wanted = vectors[[ANSWERS.index(answers[row]) for row in said]]
    assert 0 < len(said) < len(answers)
    assert torch.cosine_similarity(questions[said].mean(1), wanted, -1).mean() > 0.5
    assert stressed(vectors, 2.0)[ANSWERS.index("3")].abs().sum() == 0
    monkeypatch.setattr(answer_start, "_CAPTIONS_WEIGHT", 0.0)
    unspared, _ = _changes(trainer, vectors)
    assert captions.norm() < 0.8 * unspared.norm()


def test_the_start_is_resumed_where_it_stopped(trainer: AnswerVectorTrainer) -> None:
    learnt, steps = trainer.average["vectors"].clone(), list[int]()
    trainer.save()
    trainer.vectors.data.zero_()
    assert trainer.resume()
    start_answers(trainer, lambda step, parts: steps.append(step))
    assert steps == []
    assert torch.equal(trainer.average["vectors"], learnt)
    assert trainer.vectors.abs().sum() > 0
    batch = trainer.data.ask(4, (1,))
    assert batch.task is Task.ANSWER
    assert trainer.blip.teller.told.values.weight.abs().sum() > 0
