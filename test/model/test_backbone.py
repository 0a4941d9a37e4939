from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers
from miniature import build_tiny, instruction, pictures, tiny_config
from torch import nn

from vision_llm_ros.errors import ConfigError, WeightsError
from vision_llm_ros.model.backbone import HubPyramid, build_backbone
from vision_llm_ros.model.pyramid import MobileNetV2Pyramid, make_anchors

VIT = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "image_size": 56, "patch_size": 14}
STAGES = {"hidden_sizes": [16, 24, 32, 48], "depths": [1, 1, 1, 1]}
PATCHES, POOLED = (32,) * 5, (14, 14, 28, 56, 112)


def _clip(**changes: int) -> nn.Module:
    text = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision = {**VIT, "intermediate_size": 48, **changes}
    tokens = {"vocab_size": 99, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    return transformers.CLIPModel(transformers.CLIPConfig(text_config={**text, **tokens}, vision_config=vision))


NETS = {
    "resnet": (
        lambda: transformers.ResNetForImageClassification(transformers.ResNetConfig(embedding_size=16, **STAGES)),
        (24, 32, 48, 48, 48),
        (8, 16, 32, 64, 128),
    ),
    "dinov2": (lambda: transformers.Dinov2Model(transformers.Dinov2Config(**VIT)), PATCHES, POOLED),
    "clip": (_clip, PATCHES, POOLED),
    "swin": (
        lambda: transformers.SwinModel(
            transformers.SwinConfig(embed_dim=16, depths=[1] * 4, num_heads=[1, 2, 2, 4], image_size=64, window_size=4)
        ),
        (32, 64, 128, 128, 128),
        (8, 16, 32, 64, 128),
    ),
}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of random checkpoints, one a kind of backbone."""
    folder = tmp_path_factory.mktemp("backbones")
    torch.manual_seed(0)
    for name, (make, _, _) in NETS.items():
        make().save_pretrained(folder / name)
    return folder


@torch.inference_mode()
@pytest.mark.parametrize("name", NETS)
def test_every_backbone_gives_the_maps_the_tokenizer_wants(published: Path, name: str) -> None:
    _, channels, strides = NETS[name]
    pyramid = HubPyramid(str(published / name))
    assert (pyramid.channels, pyramid.strides) == (channels, strides)
    maps = pyramid(pictures(2, 112))
    assert tuple(features.shape[1] for features in maps) == channels
    for features, stride in zip(maps, strides, strict=True):
        assert features.shape[-2] == features.shape[-1] == -(-112 // stride)
    assert all(not parameter.requires_grad for parameter in pyramid.parameters())


@torch.inference_mode()
@pytest.mark.parametrize("name", NETS)
def test_maps_are_those_of_transformers(published: Path, name: str) -> None:
    """The coarsest native map equals what transformers computes from the same checkpoint, patch by patch."""
    images = pictures(1, 112)
    pyramid = HubPyramid(str(published / name))
    pixels = (images.float() / 255 - torch.tensor((0.485, 0.456, 0.406)).view(3, 1, 1)) / torch.tensor(
        (0.229, 0.224, 0.225)
    ).view(3, 1, 1)
    if name == "clip":
        net = transformers.CLIPVisionModel.from_pretrained(published / name).eval()
        hidden = net(pixels, output_hidden_states=True, interpolate_pos_encoding=True).hidden_states[-2]
        expected = hidden[0, 1:].T.reshape(32, 8, 8)
    elif name == "dinov2":
        net = transformers.Dinov2Model.from_pretrained(published / name).eval()
        expected = net(pixels).last_hidden_state[0, 1:].T.reshape(32, 8, 8)
    else:
        backbone = {"resnet": transformers.ResNetBackbone, "swin": transformers.SwinBackbone}[name]
        net = backbone.from_pretrained(published / name, out_indices=[4]).eval()
        expected = net(pixels).feature_maps[0][0]
    places = [index for index, features in enumerate(pyramid(images)) if features.shape[1:] == expected.shape]
    assert any(torch.allclose(pyramid(images)[index][0], expected, atol=1e-4) for index in places)


@torch.inference_mode()
def test_a_patch_stands_where_it_is_in_the_picture(published: Path) -> None:
    """A bright corner changes its own patch most: rows and columns are not swapped."""
    pyramid = HubPyramid(str(published / "dinov2"))
    dark, lit = torch.zeros(1, 3, 112, 112, dtype=torch.uint8), torch.zeros(1, 3, 112, 112, dtype=torch.uint8)
    lit[:, :, 14:28, 84:98] = 255
    change = (pyramid(lit)[1] - pyramid(dark)[1]).abs().sum(1)[0]
    assert divmod(int(change.argmax()), 8) == (1, 6)


@torch.inference_mode()
def test_preprocessor_values_of_the_checkpoint_are_used(published: Path, tmp_path: Path) -> None:
    net, images = NETS["resnet"][0](), pictures(1, 64)
    net.save_pretrained(tmp_path)
    plain = HubPyramid(str(tmp_path))(images)[1]
    (tmp_path / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}')
    assert not torch.allclose(HubPyramid(str(tmp_path))(images)[1], plain, atol=1e-3)


def test_a_picture_that_is_no_multiple_of_the_patch_is_refused(published: Path, tiny_folder: Path) -> None:
    config = tiny_config(tiny_folder, backbone="hub", backbone_source=str(published / "clip"), image_size_px=100)
    with pytest.raises(ConfigError, match="multiple of 14, got 100; take 98"):
        build_backbone(config)
    with pytest.raises(ConfigError, match="multiples of 14"):
        HubPyramid(str(published / "clip"))(pictures(1, 100))


def test_a_model_that_is_no_backbone_is_refused(tiny_folder: Path) -> None:
    with pytest.raises(WeightsError, match=r"is a 'bert' model and no backbone; expected one of .*clip.*resnet"):
        HubPyramid(str(tiny_folder / "bert"))


def test_hub_without_a_source_is_refused(tiny_folder: Path) -> None:
    with pytest.raises(ConfigError, match="backbone_source"):
        tiny_config(tiny_folder, backbone="hub")


def test_the_nano_pyramid_is_built_by_name(tiny_folder: Path) -> None:
    assert isinstance(build_backbone(tiny_config(tiny_folder)), MobileNetV2Pyramid)


@torch.inference_mode()
@pytest.mark.parametrize("side", [96, 97, 300])
def test_nano_pyramid_gives_the_promised_sizes(side: int) -> None:
    pyramid = MobileNetV2Pyramid()
    maps = pyramid(pictures(1, side))
    for features, channels, stride in zip(maps, pyramid.channels, pyramid.strides, strict=True):
        assert features.shape == (1, channels, -(-side // stride), -(-side // stride))


@pytest.mark.parametrize("levels", [1, 4, 6])
def test_anchors_grow_from_level_to_level_and_stay_in_place(levels: int) -> None:
    sizes = [(2 ** (5 - level) + 1, 2 ** (5 - level)) for level in range(levels)]
    anchors = make_anchors(sizes)
    counts = [height * width * (3 if level == 0 else 6) for level, (height, width) in enumerate(sizes)]
    assert anchors.shape == (sum(counts), 4)
    assert ((anchors[:, :2] > 0) & (anchors[:, :2] < 1)).all()
    areas = [part[:, 2:].prod(-1).sqrt().mean() for part in anchors.split(counts)]
    assert areas == sorted(areas)
    assert torch.allclose(anchors[0, :2], torch.tensor([0.5 / 32, 0.5 / 33]))


@pytest.mark.parametrize("name", ["resnet", "clip"])
def test_whole_model_runs_and_learns_around_a_published_backbone(published: Path, tiny_folder: Path, name: str) -> None:
    changes = {"backbone": "hub", "backbone_source": str(published / name), "image_size_px": 112}
    model = build_tiny(tiny_folder, **changes)
    words = model.read(instruction())
    tokens = model.tokens(model.encode_image(pictures(2, 112)), words)
    logits = model.decode(words, tokens)
    assert logits.classes.shape == (2, 12, 5)
    assert torch.isfinite(logits.locations).all()
    (logits.classes.sum() + logits.locations.sum()).backward()
    assert not any(key.startswith("backbone") for key in model.learned())
    assert all(parameter.grad is None for parameter in model.backbone.parameters())
    assert all(parameter.grad is not None for parameter in model.tokenizer.dense.parameters())
