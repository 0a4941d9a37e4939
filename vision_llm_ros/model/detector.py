"""The VisionLLM route, whole: picture and instruction to boxes, polygons and one grounded object."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor, nn

from vision_llm_ros.config import ModelConfig
from vision_llm_ros.language.instructions import Instruction
from vision_llm_ros.model.backbone import build_backbone
from vision_llm_ros.model.llm import LanguageModel
from vision_llm_ros.model.set_decoder import ADAPTER, Prefix, SetDecoder, SetLogits
from vision_llm_ros.model.text import TextEncoder, load_text_similarity
from vision_llm_ros.model.tokenizer import EncodedImage, ImageTokenizer, ImageTokens


@dataclass(frozen=True)
class Words:
    """An instruction ready for the model: what depends on words alone, computed once per command.

    Attributes:
        instruction: its pieces.
        text: float[K, D_text], embeddings of the listed phrases.
        prefix: what the language model remembers of it.
    """

    instruction: Instruction
    text: Tensor
    prefix: Prefix


class VisionLLM(nn.Module):
    """Backbone, text encoder, image tokenizer, language model and set decoder.

    Which parts learn is decided by the training stage; the language model's own parameters never do.
    """

    def __init__(self, config: ModelConfig, llm_dtype: torch.dtype = torch.float32) -> None:
        """Build the network around its pretrained parts; what this project trains is still random.

        Args:
            llm_dtype: of the language model's own weights; other than float32 only under autocast of the same type.
        Raises:
            ConfigError, WeightsError: a pretrained part is missing, damaged or of the wrong kind.
        """
        super().__init__()
        self.config = config
        self.backbone = build_backbone(config)
        # the command parser wants the same encoder; while it does not learn, one copy serves both
        shared = config.text_encoder == "minilm" and config.text_mode != "trained"
        self.text_encoder = load_text_similarity() if shared else TextEncoder(config.text_encoder, config.text_revision)
        self.text_encoder.requires_grad_(config.text_mode == "trained")
        self.tokenizer = ImageTokenizer(config, self.backbone.channels[1:], self.text_encoder.width)
        self.llm = LanguageModel(config.llm, config.llm_revision, config.llm_layers, config.llm_quantization, llm_dtype)
        self.llm.add_adapter(ADAPTER, config.lora_rank, config.lora_alpha, config.lora_dropout, config.llm_layers)
        embedding_std = float(self.llm.base.embed_tokens.weight.float().std())
        self.decoder = SetDecoder(config, self.llm.width, embedding_std)

    @property
    def device(self) -> torch.device:
        return next(self.decoder.parameters()).device

    def learned(self) -> dict[str, Tensor]:
        """Every tensor that is stored with our weights: backbone.*, tokenizer.*, decoder.*, adapter.*.

        Not the language model's own, nor a published backbone's; the text encoder's (text.*) only where it is trained.
        """
        parts = {"tokenizer": self.tokenizer.state_dict(), "decoder": self.decoder.state_dict()}
        parts["adapter"] = self.llm.adapter_state(ADAPTER)
        if self.config.backbone != "hub":
            parts["backbone"] = self.backbone.state_dict()
        if self.config.text_mode == "trained":
            parts["text"] = self.text_encoder.state_dict()
        return {f"{part}.{key}": value for part, state in parts.items() for key, value in state.items()}

    def encode_image(self, images_rgb_u8: Tensor) -> EncodedImage:
        """Words-free part of the work, once per frame: uint8[B, 3, S, S]."""
        return self.tokenizer.encode(self.backbone(images_rgb_u8)[1:])

    def embed_phrases(self, phrases: tuple[str, ...]) -> Tensor:
        """float[K, D_text]; with gradient only while the text encoder is trained."""
        if self.config.text_mode == "trained" and self.training:
            return self.text_encoder.encode(phrases)
        return self.text_encoder(phrases)  # type: ignore[no-any-return]

    def read(self, instruction: Instruction) -> Words:
        """Picture-free part of the work, once per command."""
        text = self.embed_phrases(instruction.classes)
        with self.llm.using(ADAPTER):
            return Words(instruction, text, self.decoder.read_instruction(self.llm, instruction))

    def tokens(self, image: EncodedImage, words: Words) -> ImageTokens:
        """Image tokens for one command on one encoded batch."""
        return self.tokenizer(image, words.text)  # type: ignore[no-any-return]

    def decode(self, words: Words, tokens: ImageTokens, valid: Tensor | None = None) -> SetLogits:
        """One tuple per image token (see `SetDecoder.forward`)."""
        with self.llm.using(ADAPTER):
            return self.decoder(self.llm, words.prefix, tokens, valid)  # type: ignore[no-any-return]


def select_tokens(tokens: ImageTokens, index: Tensor) -> ImageTokens:
    """Keep image tokens int[B, M'] of M; the dense logits stay as they are."""
    picked = {}
    for entry in fields(tokens):
        value = getattr(tokens, entry.name)
        if entry.name != "dense_logits":
            picked[entry.name] = value.gather(1, index.unsqueeze(-1).expand(-1, -1, value.shape[-1]))
    return replace(tokens, **picked)
