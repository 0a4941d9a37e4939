from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from miniature import CLASSES, build_tiny, instruction, pictures

from vision_llm_ros.errors import ConfigError
from vision_llm_ros.language.codec import OffsetCodec
from vision_llm_ros.language.instructions import Instruction
from vision_llm_ros.model import set_decoder
from vision_llm_ros.model.detector import VisionLLM, Words, select_tokens
from vision_llm_ros.model.set_decoder import SetLogits, decode_points, location_bins
from vision_llm_ros.model.tokenizer import ImageTokens

Case = tuple[Words, ImageTokens, SetLogits]


@pytest.fixture(scope="module")
def exact_model(tiny_model: VisionLLM) -> VisionLLM:
    """In double precision, so that what must be equal is so to five digits; attention is soft, so that all counts."""
    model = copy.deepcopy(tiny_model).double()
    for name, parameter in model.llm.base.named_parameters():
        if "q_proj" in name:
            parameter.data.mul_(0.1)
    return model


@pytest.fixture(scope="module")
def decoded(exact_model: VisionLLM) -> Case:
    """Words, image tokens and decoded sets of two pictures."""
    with torch.inference_mode():
        words = exact_model.read(instruction())
        tokens = exact_model.tokens(exact_model.encode_image(pictures(2)), words)
        return words, tokens, exact_model.decode(words, tokens)


def close(first: torch.Tensor, second: torch.Tensor, tolerance: float = 1e-5) -> bool:
    return bool(torch.allclose(first, second, atol=tolerance, rtol=tolerance))


def states(model: VisionLLM, words: Words, tokens: ImageTokens, sets: list[int]) -> torch.Tensor:
    """Hidden states of chosen sets only, computed the slow way: one set after another behind all image tokens."""
    decoder, llm = model.decoder, model.llm
    images = decoder.image_embeddings(tokens)
    queries = decoder.rows[list(decoder.vocabulary.format_query(words.prefix.num_points))]
    count, length = images.shape[1], words.prefix.length
    answers = []
    with llm.using("detect"):
        for index in sets:
            embeds = torch.cat([images, images[:, index : index + 1] + queries], 1)
            total = embeds.shape[1]
            attend = torch.ones(1, total, length + total, dtype=torch.bool)
            attend[:, :count, length:] = torch.ones(count, total, dtype=torch.bool).tril()
            attend[:, count:, length + count :] = True
            positions = (length + torch.arange(total)).expand(len(images), -1)
            hidden, _ = llm.run(embeds, positions, attend.expand(len(images), -1, -1), words.prefix.past)
            answers.append(decoder.head_norm(hidden[:, count:]))
    return torch.stack(answers, 1)


@torch.inference_mode()
@pytest.mark.parametrize("chosen", [[0, 5, 11], [11, 0]])
def test_query_sets_are_independent(exact_model: VisionLLM, decoded: Case, chosen: list[int]) -> None:
    """Decoded all at once, one at a time, some left out or in another order: each set gives the same answer."""
    words, tokens, logits = decoded
    hidden = states(exact_model, words, tokens, chosen)
    picked = select_tokens(tokens, torch.tensor(chosen).expand(2, -1))
    prior = exact_model.decoder.location_prior(picked, 2)
    assert close(exact_model.decoder.class_logits(hidden[:, :, 0], words.prefix, picked), logits.classes[:, chosen])
    assert close(exact_model.decoder.location_logits(hidden[:, :, 1:], prior), logits.locations[:, chosen])


@torch.inference_mode()
def test_long_outputs_are_decoded_in_groups_with_the_same_answer(
    exact_model: VisionLLM, decoded: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, tokens, logits = decoded
    monkeypatch.setattr(set_decoder, "_GROUP_TOKENS", 17)  # three sets of five queries, twelve sets in all
    grouped = exact_model.decode(words, tokens)
    assert close(grouped.classes, logits.classes)
    assert close(grouped.locations, logits.locations)


@torch.inference_mode()
def test_image_tokens_of_other_sets_matter_but_their_sets_do_not(exact_model: VisionLLM, decoded: Case) -> None:
    """Image tokens are causal: a later one changes nothing of an earlier one, all sets see all of them."""
    words, tokens, logits = decoded
    changed = replace(tokens, embeddings=tokens.embeddings.clone())
    changed.embeddings[:, 7] += 1
    assert not close(exact_model.decode(words, changed).locations[:, 0], logits.locations[:, 0])


@torch.inference_mode()
def test_padding_is_never_seen(exact_model: VisionLLM, decoded: Case) -> None:
    words, tokens, logits = decoded
    valid = torch.ones(2, 12, dtype=torch.bool)
    valid[1, [2, 7]] = False
    noise = replace(tokens, embeddings=tokens.embeddings.clone())
    noise.embeddings[1, [2, 7]] = 5.0
    first, second = exact_model.decode(words, tokens, valid), exact_model.decode(words, noise, valid)
    real = valid.nonzero(as_tuple=True)
    assert close(first.classes[real], second.classes[real])
    assert close(first.locations[real], second.locations[real])
    assert close(first.classes[0], logits.classes[0])
    assert not close(first.classes[1], logits.classes[1])


@torch.inference_mode()
def test_batched_images_match_single_images(exact_model: VisionLLM, decoded: Case) -> None:
    words, tokens, logits = decoded
    for index in range(2):
        image = exact_model.encode_image(pictures(2)[index : index + 1])
        single = exact_model.tokens(image, words)
        for name, value in vars(single).items():
            assert close(value[0], getattr(tokens, name)[index]), name
        alone = exact_model.decode(words, single)
        assert close(alone.classes[0], logits.classes[index])
        assert close(alone.locations[0], logits.locations[index])


@torch.inference_mode()
def test_only_listed_classes_can_be_answered(exact_model: VisionLLM, decoded: Case) -> None:
    words, _, logits = decoded
    assert logits.classes.shape == (2, 12, len(CLASSES) + 1)
    fewer = instruction(("dog", "chair"))
    narrow = exact_model.read(fewer)
    answer = exact_model.decode(narrow, exact_model.tokens(exact_model.encode_image(pictures(2)), narrow))
    assert answer.classes.shape == (2, 12, 3)
    assert narrow.instruction.classes == ("dog", "chair")
    assert len(words.prefix.class_rows) == len(CLASSES)


@torch.inference_mode()
def test_class_tokens_mean_what_the_instruction_says(exact_model: VisionLLM, decoded: Case) -> None:
    """The class logits read the rows that the instruction names, in its order."""
    words, tokens, _ = decoded
    old = words.instruction
    renamed = replace(old, class_tokens=(3, 2, 1, 0))
    swapped = exact_model.read(replace(renamed, text=old.text.replace(old.class_map, renamed.class_map)))
    rows = exact_model.decoder.vocabulary
    assert swapped.prefix.class_rows.tolist() == [rows.class_row(index) for index in (3, 2, 1, 0)]
    assert not close(exact_model.decode(swapped, tokens).classes, exact_model.decode(words, tokens).classes)


@torch.inference_mode()
@pytest.mark.parametrize("num_points", [8, 24])
def test_more_points_only_lengthen_the_tuples(exact_model: VisionLLM, decoded: Case, num_points: int) -> None:
    _, tokens, boxes = decoded
    words = exact_model.read(instruction(num_points=num_points))
    outlines = exact_model.decode(words, tokens)
    assert boxes.locations.shape == (2, 12, 4, 65)
    assert outlines.locations.shape == (2, 12, 2 * num_points, 65)
    assert outlines.classes.shape == boxes.classes.shape
    assert decode_points(outlines, tokens).shape == (2, 12, num_points, 2)


@pytest.mark.parametrize(("bins", "num_points"), [(65, 2), (1025, 2), (1025, 16)])
def test_what_is_learnt_decodes_to_within_half_a_bin(bins: int, num_points: int) -> None:
    torch.manual_seed(0)
    centres, points = torch.rand(1, 40, 2).double(), torch.rand(1, 40, num_points, 2).double()
    wanted = location_bins(points, centres, OffsetCodec(bins))
    locations = torch.full((1, 40, 2 * num_points, bins), -30.0).double().scatter_(-1, wanted.unsqueeze(-1), 30.0)
    empty = torch.zeros(1, 40, 4)
    tokens = ImageTokens(empty, centres, empty, empty, empty, empty)
    error = (decode_points(SetLogits(empty, locations), tokens) - points).abs().max()
    assert error <= 0.5 / (bins // 2) + 1e-9


def test_outline_points_lie_at_the_mean_of_their_distribution_and_corners_at_its_peak() -> None:
    empty = torch.zeros(1, 1, 4)
    tokens = ImageTokens(empty, torch.zeros(1, 1, 2), empty, empty, empty, empty)
    for coordinates, bin_wanted in ((4, 20.0), (16, 30.0)):
        locations = torch.full((1, 1, coordinates, 65), -30.0)
        locations[..., [20, 40]] = torch.tensor([1e-4, 0.0])
        points = decode_points(SetLogits(empty, locations), tokens)
        assert torch.allclose(points, torch.full_like(points, (bin_wanted - 32) / 32), atol=1e-3)


@pytest.mark.parametrize("last", [0, 64])
def test_bins_beyond_the_border_do_not_count(last: int) -> None:
    locations = torch.full((1, 1, 4, 65), -30.0)
    locations[..., [last, abs(last - 1)]] = 0.0
    empty = torch.zeros(1, 1, 4)
    tokens = ImageTokens(empty, torch.zeros(1, 1, 2), empty, empty, empty, empty)
    points = decode_points(SetLogits(empty, locations), tokens)
    assert torch.allclose(points, torch.full((1, 1, 2, 2), abs(last - 0.5) / 32 - 1))


def test_two_equal_neighbours_decode_to_the_point_between_them() -> None:
    locations = torch.full((1, 1, 4, 65), -30.0)
    locations[..., 40:42] = 0.0
    empty = torch.zeros(1, 1, 4)
    tokens = ImageTokens(empty, torch.zeros(1, 1, 2), empty, empty, empty, empty)
    points = decode_points(SetLogits(empty, locations), tokens)
    assert torch.allclose(points, torch.full((1, 1, 2, 2), (40.5 - 32) / 32))


@torch.inference_mode()
def test_region_prior_alone_answers_the_tokenizers_box(exact_model: VisionLLM, decoded: Case) -> None:
    _, tokens, _ = decoded
    half = torch.tensor([0.4, 0.2]).expand(2, 12, 2)
    boxes = torch.cat([torch.full_like(half, 0.5), half], -1)
    placed = replace(tokens, boxes_cxcywh=boxes, centres=boxes[..., :2])
    prior = exact_model.decoder.location_prior(placed, 2)
    points = decode_points(SetLogits(prior, prior), placed)
    assert torch.allclose(points[0, 0], torch.tensor([[0.3, 0.4], [0.7, 0.6]]), atol=0.01)


@torch.inference_mode()
def test_without_the_region_prior_the_language_model_answers_alone(tiny_folder: Path, decoded: Case) -> None:
    _, tokens, _ = decoded
    model = build_tiny(tiny_folder, region_prior=False).double()
    words = model.read(instruction())
    other = replace(tokens, class_logits=tokens.class_logits.flip(-1))
    same_looks = replace(other, class_logits=tokens.class_logits.flip(-1))
    assert close(model.decode(words, other).classes, model.decode(words, same_looks).classes)
    hidden = torch.randn(2, 12, 48, dtype=torch.float64)
    first = model.decoder.class_logits(hidden, words.prefix, tokens)
    assert close(first, model.decoder.class_logits(hidden, words.prefix, other))


@torch.inference_mode()
def test_a_prior_of_boxes_alone_leaves_the_classes_to_the_language_model(tiny_folder: Path, decoded: Case) -> None:
    _, tokens, _ = decoded
    model = build_tiny(tiny_folder, class_prior=False).double()
    prefix, hidden = model.read(instruction()).prefix, torch.randn(2, 12, 48, dtype=torch.float64)
    other = replace(tokens, class_logits=tokens.class_logits + 1)
    assert close(*(model.decoder.class_logits(hidden, prefix, seen) for seen in (tokens, other)))
    assert model.decoder.location_prior(tokens, 2).std() > 0


def test_an_instruction_that_defines_no_class_is_refused(exact_model: VisionLLM) -> None:
    with pytest.raises(ConfigError, match="defines its classes"):
        exact_model.decoder.read_instruction(exact_model.llm, Instruction(instruction().task, "", text="find it"))


def test_a_class_token_beyond_the_vocabulary_is_refused(tiny_folder: Path) -> None:
    model = build_tiny(tiny_folder, class_tokens=4)
    with pytest.raises(ConfigError, match=r"<c4>"):
        model.decoder.read_instruction(model.llm, instruction((*CLASSES, "cat")))


@torch.inference_mode()
def test_tokenizer_follows_the_order_of_the_classes(exact_model: VisionLLM) -> None:
    """Permuting the listed classes permutes the tokenizer's logits and changes nothing else."""
    image = exact_model.encode_image(pictures(2))
    order = [2, 0, 3, 1]
    text = exact_model.embed_phrases(CLASSES)
    straight = exact_model.tokenizer(image, text)
    permuted = exact_model.tokenizer(image, text[order])
    assert close(permuted.class_logits, straight.class_logits[..., order])
    assert close(permuted.boxes_cxcywh, straight.boxes_cxcywh)
    assert close(permuted.embeddings, straight.embeddings)


@torch.inference_mode()
def test_class_pointers_follow_the_order_of_the_classes(exact_model: VisionLLM, decoded: Case) -> None:
    """With the language model's states held fixed, the logits are permuted with the classes."""
    words, tokens, _ = decoded
    order = [2, 0, 3, 1]
    prefix = words.prefix
    moved = replace(prefix, class_states=prefix.class_states[order], class_rows=prefix.class_rows[order])
    shown = replace(tokens, class_logits=tokens.class_logits[..., order])
    hidden = torch.randn(2, 12, 48, dtype=torch.float64)
    straight = exact_model.decoder.class_logits(hidden, prefix, tokens)
    permuted = exact_model.decoder.class_logits(hidden, moved, shown)
    assert close(permuted, straight[..., [*order, 4]])
