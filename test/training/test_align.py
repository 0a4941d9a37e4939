from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from blips import CONFIG, stirred
from captions import write_captions
from miniature import build_tiny
from tiny import write_shapes

from vision_llm_ros.config import AlignConfig, PairConfig, PromptConfig
from vision_llm_ros.errors import InputError
from vision_llm_ros.language.questions import understand
from vision_llm_ros.model.blip import Blip
from vision_llm_ros.model.detector import VisionLLM
from vision_llm_ros.model.prompt_writer import IGNORED, PromptWriter
from vision_llm_ros.training import calibrate
from vision_llm_ros.training.align import AlignTrainer, contrast_loss, hard_negatives
from vision_llm_ros.training.align_data import AlignData, _sentence_vectors, plain
from vision_llm_ros.training.calibrate import calibrate_match, held_out_pairs
from vision_llm_ros.training.datasets import load_captions, load_instances
from vision_llm_ros.training.exchange import exchange
from vision_llm_ros.training.pairs import PairData, PairTrainer, remember
from vision_llm_ros.training.prompted import PromptData, PromptTrainer
from vision_llm_ros.training.qformer_features import compute
from vision_llm_ros.training.question_data import FORMS, make_questions, measure_colours
from vision_llm_ros.training.scene_fit import fit_scene, fit_tags, frequent_words
from vision_llm_ros.training.weigh import weigh

SHORT = AlignConfig(steps=2, batch_size=4, pairs=3, told=3, warmup_steps=1, save_every=2)


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> VisionLLM:
    return build_tiny(tiny_folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shapes")


@pytest.fixture(scope="module")
def data(model: VisionLLM, folder: Path) -> AlignData:
    shapes = write_shapes(folder / "pictures", 10)
    captions = load_captions(write_captions(shapes), shapes.images)
    torch.manual_seed(0)
    features = compute(model, Blip(CONFIG, model).image, captions.pictures, folder / "features", fit=True)
    return AlignData(captions, features, model.text_encoder, folder / "features", held_out=4)


@pytest.fixture
def blip(model: VisionLLM) -> Blip:
    torch.manual_seed(0)
    return stirred(Blip(CONFIG, model))


def test_every_part_of_stage_one_gets_a_gradient(blip: Blip, data: AlignData, tmp_path: Path) -> None:
    trainer = AlignTrainer(blip, data, SHORT, tmp_path, torch.device("cpu"))
    trainer.prepare()
    trainer.loss(data.draw(4, (1,)))[0].backward()
    still = {name for name, value in blip.named_parameters() if value.grad is None or not value.grad.abs().sum()}
    expected = {
        name for name, _ in blip.named_parameters() if name.startswith(("image.reduce", "teller", "scene.tags"))
    }
    assert still == expected


def test_the_text_encoder_does_not_learn(model: VisionLLM, blip: Blip, data: AlignData, tmp_path: Path) -> None:
    before = copy.deepcopy(model.text_encoder.state_dict())
    AlignTrainer(blip, data, SHORT, tmp_path, torch.device("cpu")).run(lambda step, parts: None)
    assert all(torch.equal(value, before[key]) for key, value in model.text_encoder.state_dict().items())


def test_contrast_is_least_where_pairs_lie_on_the_diagonal() -> None:
    cold = torch.tensor(-3.0)
    assert contrast_loss(torch.eye(4), cold, 0.0) < 1e-3
    assert contrast_loss(torch.eye(4).roll(1, 0), cold, 0.0) > 5


def test_hard_negatives_are_likely_ones_and_never_the_own() -> None:
    logits = torch.full((3, 3), -9.0)
    logits[0, 2] = logits[1, 0] = logits[2, 1] = 9.0
    assert hard_negatives(logits + 99 * torch.eye(3)).tolist() != [0, 1, 2]
    assert hard_negatives(logits).tolist() == [2, 0, 1]


def test_a_batch_follows_from_its_seed_and_spares_what_is_held_out(data: AlignData) -> None:
    first, second, third = data.draw(4, (1, 2)), data.draw(4, (1, 2)), data.draw(4, (1, 3))
    assert torch.equal(first.seen.cells, second.seen.cells)
    assert torch.equal(first.text.ids, second.text.ids)
    assert not torch.equal(first.seen.cells, third.seen.cells)
    assert len(data.held_out_ids) == 4
    assert not set(data.image_ids) & set(data.held_out_ids)


def test_too_few_pictures_are_named(data: AlignData, folder: Path) -> None:
    captions = load_captions(folder / "pictures" / "captions.json", folder / "pictures")
    with pytest.raises(InputError, match="at least 11 readable pictures, got 10"):
        AlignData(captions, data.features, data.encoder, folder / "features", held_out=9)


def test_some_of_the_known_sentences_are_not_read_again(
    data: AlignData, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = data.sentences[1::2]
    monkeypatch.setattr(type(data.encoder), "encode", None)
    vectors = _sentence_vectors(data.encoder, some, folder / "features")
    assert torch.equal(vectors, data.vectors(some))


def test_captions_are_learnt_in_plain_words() -> None:
    assert plain("A man's  dog, (red).\n") == "a man's dog red"


def test_the_fitted_scene_finds_the_pictures_it_was_fitted_to(model: VisionLLM, data: AlignData) -> None:
    from dataclasses import replace

    words = frequent_words(data, 6)
    assert "picture" in words
    fitted = Blip(replace(CONFIG, tags=words), model)
    with torch.no_grad():
        fit_scene(fitted, data)
        fit_tags(fitted, data)
        seen = data.features.seen([data.features.rows[i] for i in data.image_ids])
        scene = fitted.scene(seen, fitted.image(seen)[1])
        wanted = torch.stack([data.vectors(data.captions[i]).mean(0) for i in data.image_ids])
        space = fitted.matcher.text_vector(wanted)
        shares = fitted.scene.tags(scene)
    assert torch.allclose(space.mean(0), torch.zeros(12), atol=1e-4)
    assert torch.allclose(scene.mean(0), space.mean(0), atol=1e-3)
    assert torch.corrcoef(torch.stack([scene.flatten(), space.flatten()]))[0, 1] > 0
    named = torch.tensor(
        [[float(any(w in t.split() for t in data.captions[i])) for w in words] for i in data.image_ids]
    )
    assert torch.allclose(shares.mean(0) > 0, named.mean(0) > 0)


def test_calibration_needs_held_out_pictures(blip: Blip, data: AlignData) -> None:
    none = copy.copy(data)
    none.held_out_ids = data.held_out_ids[:1]
    with pytest.raises(InputError, match="got 1; use --held-out"):
        held_out_pairs(blip, none)


def test_calibration_makes_itms_logit_a_probability(
    blip: Blip, data: AlignData, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    own = torch.tensor([1.0, 0.0] * 100)
    logits = 3.0 + 4.0 * own + torch.from_numpy(rng.normal(0, 1, 200)).float()
    noise = torch.from_numpy(rng.normal(0, 1, 200)).float()
    monkeypatch.setattr(calibrate, "held_out_pairs", lambda *args: (torch.stack([noise, logits], 1), own))
    found = calibrate_match(blip, data)
    assert found["match_similarity"] == 0
    assert found["match_fit"] > 1
    assert found["match_fit"] * 5.0 + found["match_bias"] == pytest.approx(0, abs=0.5)


def test_a_score_that_tells_nothing_gets_no_weight() -> None:
    rng = np.random.default_rng(0)
    own = torch.tensor([1.0, 0.0] * 100)
    against = -own + torch.from_numpy(rng.normal(0, 0.5, 200)).float()
    gains, _ = calibrate.logistic(torch.stack([against, own], 1), own)
    assert gains[0] == 0
    assert gains[1] > 3


def test_hard_pairs_are_of_other_pictures_and_follow_from_their_seed(blip: Blip, data: AlignData) -> None:
    pairs = PairData(blip.eval(), data, hardest=2)
    first, second, third = pairs.draw(4, (1,)), pairs.draw(4, (1,)), pairs.draw(4, (2,))
    assert torch.equal(first.sentences, second.sentences)
    assert not torch.equal(first.sentences[:4], third.sentences[:4])
    assert int(first.wanted.sum()) == 4
    for seed in range(20):
        rng, own = np.random.default_rng(seed), seed % len(data.image_ids)
        other = pairs._pick(torch.rand(len(pairs._owner)), pairs._owner == own, rng)
        assert pairs._owner[other] != own


def test_one_word_is_exchanged_for_another_of_its_kind() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        changed = exchange("two dogs on a red couch", rng).split()
        (place,) = [
            i for i, (a, b) in enumerate(zip("two dogs on a red couch".split(), changed, strict=True)) if a != b
        ]
        assert place in (0, 1, 4, 5)
    assert exchange("something here", rng) == ""


def test_the_memory_holds_centres_of_unit_length(blip: Blip, data: AlignData) -> None:
    pairs = PairData(blip.eval(), data, hardest=2)
    remember(blip, pairs)
    assert torch.allclose(blip.pair.sentences.norm(dim=1), torch.ones(CONFIG.fit_memory), atol=1e-5)
    nearest = (pairs.sentences @ blip.pair.sentences.T).amax(1)
    assert nearest.mean() > (pairs.sentences @ pairs.sentences.mean(0)).mean()


def test_only_itm_learns_on_hard_pairs_and_the_loss_falls(blip: Blip, data: AlignData, tmp_path: Path) -> None:
    before = copy.deepcopy(blip.state_dict())
    pairs = PairData(blip.eval(), data, hardest=2)
    settings = PairConfig(steps=12, batch_size=4, warmup_steps=1, save_every=12, learning_rate=0.01, key_dropout=0.0)
    losses: list[float] = []
    PairTrainer(blip, pairs, settings, tmp_path, torch.device("cpu")).run(lambda _, parts: losses.append(parts["itm"]))
    assert sum(losses[-3:]) < sum(losses[:3])
    moved = {key for key, value in blip.state_dict().items() if not torch.equal(value, before[key])}
    assert moved and all(key.startswith("pair.") for key in moved)
    assert "pair.queries" in moved and "pair.told.values.weight" in moved


def test_weighing_sets_itm_apart_from_what_it_is_told_on_held_out_pictures(blip: Blip, data: AlignData) -> None:
    before = copy.deepcopy(blip.pair.state_dict())
    weigh(blip, data)
    moved = {key for key, value in blip.pair.state_dict().items() if not torch.equal(value, before[key])}
    assert {"log_gain", "shares", "bias"} <= moved <= {"log_gain", "shares", "bias", "fits.weight", "fits.bias"}
    assert (blip.pair.shares >= 0).all()


def test_questions_are_balanced_and_true(folder: Path, data: AlignData) -> None:
    dataset = load_instances(folder / "pictures" / "instances.json", folder / "pictures")
    shown = {
        p.image_id: {dataset.categories[i.category_id] for i in dataset.of_pictures([p.image_id])}
        for p in dataset.pictures
    }
    questions = make_questions(dataset, measure_colours(dataset), 0)
    for question in questions:
        if question.kind == "presence":
            assert (question.label in shown[question.image_id]) is (question.answer == "yes")
        if question.kind == "count":
            assert question.answer == "1"
        if question.kind == "colour":
            assert question.answer == question.label.split()[0]
    yes = sum(q.answer == "yes" for q in questions if q.kind == "presence")
    assert yes == sum(q.answer == "no" for q in questions if q.kind == "presence") > 0
    assert {"presence", "count", "side", "colour"} == {question.kind for question in questions}


@pytest.mark.parametrize("kind", FORMS)
def test_every_form_of_a_question_is_understood(kind: str) -> None:
    assert len(set(FORMS[kind])) == len(FORMS[kind]) >= 5
    for form in FORMS[kind]:
        asked = understand(form.format(a="a", one="traffic light", many="traffic lights"))
        assert (asked.kind, asked.label) == (kind, "traffic light"), form


def test_a_question_is_wanted_only_behind_its_words(
    model: VisionLLM, blip: Blip, data: AlignData, folder: Path
) -> None:
    dataset = load_instances(folder / "pictures" / "instances.json", folder / "pictures")
    writer = PromptWriter(model.llm, 0, ())
    prompts = PromptData(data, writer, model.llm, make_questions(dataset, {}, 0), 2)
    asked = prompts.ask(3, (1,))
    assert asked.texts.shape[:2] == (3, 1)
    for read, wanted in zip(asked.texts[:, 0].tolist(), asked.wanted[:, 0].tolist(), strict=True):
        learnt = [token for token in wanted if token != IGNORED]
        place = wanted.index(learnt[0])
        assert str(model.llm.tokenizer.decode(read[: place + 1])).endswith("Answer:")
        assert learnt[-1] == writer.end
        assert read[place + 1 : place + len(learnt)] == learnt[:-1]
    told = prompts.describe(3, (2,))
    assert told.texts.shape[:2] == (3, 2)
    assert set(told.wanted[told.wanted != IGNORED].tolist()) <= set(writer.choice.tolist())


def test_the_base_language_model_is_the_same_after_training(
    model: VisionLLM, blip: Blip, data: AlignData, tmp_path: Path
) -> None:
    model.llm.deepen()
    before = model.llm.base_hash()
    writer = PromptWriter(model.llm, 0, ())
    prompts = PromptData(data, writer, model.llm, [], 2)
    config = PromptConfig(steps=2, batch_size=2, captions_a_picture=2, save_every=2)
    PromptTrainer("caption", blip, writer, model.llm, prompts, config, tmp_path, torch.device("cpu")).run(
        lambda step, parts: None
    )
    assert model.llm.base_hash() == before
    with pytest.raises(InputError, match="No question can be asked"):
        prompts.ask(2, (1,))
