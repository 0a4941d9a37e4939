from __future__ import annotations

from pathlib import Path

import pytest
import torch

from vision_llm_ros.config import RestoreConfig
from vision_llm_ros.errors import ConfigError
from vision_llm_ros.model.restorer import Restorer
from vision_llm_ros.model.vit_mae import ViTMae


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import ViTMAEConfig, ViTMAEForPreTraining

    folder = tmp_path_factory.mktemp("vit_mae")
    torch.manual_seed(0)
    config = ViTMAEConfig(
        image_size=16,
        patch_size=4,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        decoder_hidden_size=16,
        decoder_num_hidden_layers=1,
        decoder_num_attention_heads=2,
        decoder_intermediate_size=32,
        mask_ratio=0.75,
        initializer_range=0.2,
    )
    ViTMAEForPreTraining(config).save_pretrained(folder)
    return folder


def settings(folder: Path, width: int = 24) -> RestoreConfig:
    return RestoreConfig(visual=str(folder), tile_px=16, patch_px=4, overlap_px=4, width=width, num_heads=4)


def test_all_patches_are_seen_in_their_own_order(checkpoint: Path) -> None:
    module = ViTMae(settings(checkpoint)).eval()
    tiles = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        features = module.encode(tiles)
        assert features.shape == (2, 17, 24)
        assert torch.equal(features, module.encode(tiles))
        embedded = module.published.vit.embeddings.patch_embeddings((tiles - module.mean) / module.std)
        seen, hidden, order = module.published.vit.embeddings(
            (tiles - module.mean) / module.std, noise=torch.arange(16.0).expand(2, -1)
        )
    assert torch.equal(order[0], torch.arange(16))
    assert not hidden.any()
    assert torch.allclose(seen[:, 1:], embedded + module.published.vit.embeddings.position_embeddings[:, 1:])


def test_patches_decode_to_their_places_and_colours(checkpoint: Path) -> None:
    module = ViTMae(settings(checkpoint)).eval()
    with torch.no_grad():
        module.published.decoder.decoder_pred.weight.zero_()
        module.published.decoder.decoder_pred.bias.zero_()
        tiles = module(torch.rand(1, 3, 16, 16))
    assert tiles.shape == (1, 3, 16, 16)
    assert torch.allclose(tiles.mean((0, 2, 3)), torch.tensor([0.485, 0.456, 0.406]), atol=1e-4)


def test_the_published_encoder_neither_learns_nor_travels(checkpoint: Path) -> None:
    restorer = Restorer(settings(checkpoint), 48)
    assert not any(p.requires_grad for p in restorer.autoencoder.published.vit.parameters())
    learned = restorer.learned()
    assert "autoencoder.published.decoder.mask_token" in learned
    assert not any(".vit." in key for key in learned)


def test_a_checkpoint_of_another_form_is_named(checkpoint: Path) -> None:
    with pytest.raises(ConfigError, match="hidden_size is 24, the preset says 32"):
        ViTMae(settings(checkpoint, 32))
