"""Random checkpoints of the published expert classes, in their own file formats, small enough for tests."""

from __future__ import annotations

import string
from pathlib import Path

import torch


def write_detector(folder: Path) -> Path:
    """An OWLv2 that looks at 32x32 pixels and reads letters."""
    from transformers import CLIPTokenizer, Owlv2Config, Owlv2ForObjectDetection, Owlv2Processor
    from transformers.models.owlv2.image_processing_pil_owlv2 import Owlv2ImageProcessorPil

    letters = [*string.ascii_lowercase, *string.digits]
    names = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    tokenizer = CLIPTokenizer(vocab={name: i for i, name in enumerate(names)}, merges=[])
    tokenizer.model_max_length = 16
    torch.manual_seed(0)
    shared = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**shared, "vocab_size": len(names), "max_position_embeddings": 16, "pad_token_id": 73}
    text |= {"bos_token_id": 72, "eos_token_id": 73}
    vision = {**shared, "image_size": 32, "patch_size": 8}
    config = Owlv2Config(text_config=text, vision_config=vision, projection_dim=16)
    model = Owlv2ForObjectDetection(config)
    for value in model.box_head.parameters():  # boxes stay near their cells
        value.data *= 0.01
    model.save_pretrained(folder)
    processor = Owlv2ImageProcessorPil(size={"height": 32, "width": 32})
    Owlv2Processor(image_processor=processor, tokenizer=tokenizer).save_pretrained(folder)
    return folder


def write_segmenter(folder: Path) -> Path:
    """A SAM that looks at 64x64 pixels."""
    from transformers import SamConfig, SamModel, SamProcessor
    from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil

    torch.manual_seed(0)
    vision = {
        "hidden_size": 16, "output_channels": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 64,
        "patch_size": 16, "window_size": 2, "global_attn_indexes": [0], "mlp_dim": 32, "num_pos_feats": 8,
    }  # fmt: skip
    prompt = {"hidden_size": 16, "image_size": 64, "patch_size": 16, "mask_input_channels": 4}
    mask = {"hidden_size": 16, "mlp_dim": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    mask["iou_head_hidden_dim"] = 16
    model = SamModel(SamConfig(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=mask))
    model.save_pretrained(folder)
    size = {"longest_edge": 64}
    processor = SamImageProcessorPil(size=size, pad_size={"height": 64, "width": 64}, mask_size={"longest_edge": 16})
    SamProcessor(image_processor=processor).save_pretrained(folder)
    return folder


def write_restorer(folder: Path) -> Path:
    """A Swin2SR that doubles the picture."""
    from transformers import Swin2SRConfig, Swin2SRForImageSuperResolution
    from transformers.models.swin2sr.image_processing_pil_swin2sr import Swin2SRImageProcessorPil

    torch.manual_seed(0)
    small = {"image_size": 16, "embed_dim": 8, "depths": [1], "num_heads": [2], "window_size": 4}
    config = Swin2SRConfig(**small, mlp_ratio=1.0, upscale=2)
    Swin2SRForImageSuperResolution(config).save_pretrained(folder)
    Swin2SRImageProcessorPil().save_pretrained(folder)
    return folder
