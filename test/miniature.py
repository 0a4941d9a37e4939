"""A whole model of the real architecture in miniature: random checkpoints in the published file formats."""

from __future__ import annotations

import string
from pathlib import Path

import torch
from torch import Tensor, nn

from vision_llm_ros.config import ModelConfig
from vision_llm_ros.interfaces import Task, TaskSpec
from vision_llm_ros.language.descriptions import DESCRIPTIONS
from vision_llm_ros.language.instructions import Instruction, build
from vision_llm_ros.model.detector import VisionLLM

CLASSES = ("person", "dog", "red cup", "chair")


def write_llama(folder: Path, layers: int = 3, width: int = 48) -> Path:
    """A random LLaMA with its own byte-level tokenizer."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=500, initial_alphabet=alphabet, special_tokens=["<s>"], show_progress=False
    )
    tokenizer.train_from_iterator([text for texts in DESCRIPTIONS.values() for text in texts], trainer)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>").save_pretrained(folder)
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(tokenizer.get_vocab()),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def write_bert(folder: Path, width: int = 24) -> Path:
    """A random BERT that reads letters."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    letters = [*string.ascii_lowercase, *string.digits]
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    (folder / "vocab.txt").write_text("\n".join(names), encoding="utf-8")
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(2)
    config = BertConfig(
        vocab_size=len(names),
        hidden_size=width,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=2 * width,
        initializer_range=0.3,
    )
    BertModel(config).save_pretrained(folder)
    return folder


def tiny_config(folder: Path, **changes: object) -> ModelConfig:
    """A small network around the checkpoints in `folder`, which are written if they are not there."""
    llama, bert = folder / "llama", folder / "bert"
    if not llama.is_dir():
        write_llama(llama)
    if not bert.is_dir():
        write_bert(bert)
    values: dict[str, object] = {
        "name": "tiny",
        "image_size_px": 96,
        "text_encoder": str(bert),
        "width": 32,
        "num_heads": 4,
        "num_points": 2,
        "feedforward": 48,
        "num_queries": 12,
        "llm": str(llama),
        "llm_layers": 2,
        "lora_rank": 4,
        "location_bins": 65,
    }
    return ModelConfig(**{**values, **changes})  # type: ignore[arg-type]


@torch.no_grad()
def stirred(model: VisionLLM, seed: int = 4) -> VisionLLM:
    """Give every learnable tensor a value that matters, those that start at zero included."""
    torch.manual_seed(seed)
    for module in model.backbone.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
    for name, tensor in model.learned().items():
        if not name.startswith("backbone") and tensor.is_floating_point():
            tensor += torch.randn_like(tensor) * (0.2 if tensor.ndim < 2 else tensor[0].numel() ** -0.5)
    return model


def build_tiny(folder: Path, **changes: object) -> VisionLLM:
    """The network of `tiny_config` with random weights, ready to answer."""
    torch.manual_seed(0)
    return stirred(VisionLLM(tiny_config(folder, **changes))).eval()


def pictures(count: int, side_px: int = 96, seed: int = 0) -> Tensor:
    """Smooth random pictures, uint8[count, 3, side, side]."""
    coarse = torch.rand(count, 3, 6, 6, generator=torch.Generator().manual_seed(seed)) * 255
    return nn.functional.interpolate(coarse, (side_px, side_px), mode="bicubic").clamp(0, 255).to(torch.uint8)


def instruction(classes: tuple[str, ...] = CLASSES, num_points: int = 2, bins: int = 65) -> Instruction:
    task = Task.DETECT if num_points == 2 else Task.POLYGON
    return build(TaskSpec(task, classes, num_points=num_points), location_range=bins // 2)
