"""`vision-llm train text`: captions and answers by the set decoder's language model, and their export."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vision_llm_ros.cli.options import add_settings, given_settings
from vision_llm_ros.cli.progress import followed
from vision_llm_ros.config import DecoderTextConfig, DecoderTextTrainConfig, RuntimeConfig
from vision_llm_ros.errors import ConfigError
from vision_llm_ros.resources import load_preset, weights_path

if TYPE_CHECKING:
    import torch

    from vision_llm_ros.model.detector import VisionLLM
    from vision_llm_ros.model.text_decoder import TextDecoder
    from vision_llm_ros.model.weights import Manifest
    from vision_llm_ros.training.text_data import TextData

LAST_PHASE = "stage2"  # where exporting looks first
HELP = "captions and answers by the set decoder"
_LEARNING = tuple(entry.name for entry in dataclasses.fields(DecoderTextTrainConfig) if entry.name != "betas")
_NETWORK = tuple(entry.name for entry in dataclasses.fields(DecoderTextConfig) if entry.name != "name")
_RUNTIME = ("device", "dtype", "threads", "weights")
_DESCRIPTION = (
    "Learn to write captions, and answers to questions about the annotated objects, with the language model of the set "
    "decoder and an adapter of its own. The detector stays as it is; its image tokens are what is written about."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = _DESCRIPTION
    parser.add_argument("--captions", type=Path, required=True, metavar="C.json", help="COCO captions")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="pictures are DIR/file_name")
    parser.add_argument("--annotations", type=Path, metavar="A.json", help="COCO instances to ask questions about")
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the run")
    parser.add_argument("--preset", default="nano", help="preset of the trained detector (default: nano)")
    parser.add_argument("--resume", action="store_true", help="continue from the run's last checkpoint")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    add_settings(parser, RuntimeConfig, _RUNTIME)
    add_settings(parser.add_argument_group("network"), DecoderTextConfig, _NETWORK)
    add_settings(parser.add_argument_group("learning"), DecoderTextTrainConfig, _LEARNING)


def run(args: argparse.Namespace) -> int:
    import torch

    from vision_llm_ros.model.text_decoder import TextDecoder
    from vision_llm_ros.runtime.engine import load_model
    from vision_llm_ros.runtime.hardware import choose_device, choose_dtype, set_threads
    from vision_llm_ros.training.loop import CHECKPOINT
    from vision_llm_ros.training.run_folder import keep_settings
    from vision_llm_ros.training.text_loop import TextTrainer

    config = given_settings(args, DecoderTextConfig, _NETWORK)
    train = given_settings(args, DecoderTextTrainConfig, _LEARNING)
    runtime = given_settings(args, RuntimeConfig, _RUNTIME)
    if (args.out / CHECKPOINT).is_file() and not args.resume:
        raise ConfigError(f"{args.out} already holds a run; add --resume, or name another --out")
    device = choose_device(runtime.device)
    set_threads(runtime)
    preset = load_preset(args.preset)
    folder = Path(runtime.weights) if runtime.weights else weights_path() / preset.name
    torch.manual_seed(train.seed)
    model, _ = load_model(folder, preset)
    decoder = TextDecoder(config, model)
    model.to(device)
    decoder.to(device)
    data = _data(args, model, decoder)
    trainer = TextTrainer(model, decoder, data, train, args.out, choose_dtype(runtime.dtype, device))
    trainer.resume()
    keep_settings(args.out, "text", config, train, _about(args))
    with followed(trainer, "text", ("words",), args.quiet) as progress:
        trainer.run(progress)
    if train.head_steps:
        for key, value in trainer.learned().items():
            value.data.copy_(trainer.average[key])
        _learn_head(args, model, decoder, data, train, trainer.dtype)
    print(f"{args.out}: done; next: vision-llm train export {args.out} --out WEIGHTS/text")
    return 0


def _learn_head(
    args: argparse.Namespace,
    model: VisionLLM,
    decoder: TextDecoder,
    data: TextData,
    train: DecoderTextTrainConfig,
    dtype: torch.dtype,
) -> None:
    """The last phase, see `training.text_head`; its checkpoint is the one that is exported."""
    from tqdm import tqdm

    from vision_llm_ros.training.text_head import HeadTrainer, keep_states

    with tqdm(total=len(data.described), desc="states", unit="picture", disable=args.quiet) as bar:
        kept = keep_states(model, decoder, data, bar.update)
    trainer = HeadTrainer(model, decoder, kept, train, args.out / LAST_PHASE, dtype)
    trainer.resume()
    with followed(trainer, "head", ("words",), args.quiet) as progress:
        trainer.run(progress)


def _data(args: argparse.Namespace, model: VisionLLM, decoder: TextDecoder) -> TextData:
    """The texts, and the decoder's word list from them."""
    from vision_llm_ros.training.text_data import TextData

    tokenizer, vocabulary = model.llm.tokenizer, len(decoder.bias) - 1
    data = TextData(
        model.config,
        args.captions,
        args.images,
        args.annotations,
        lambda text: list(tokenizer(text, add_special_tokens=False)["input_ids"]),
        lambda pixels: decoder.see(model, model.backbone(pixels.to(model.device))),
        vocabulary,
    )
    for note in data.notes:
        print(f"note: {note}", file=sys.stderr)
    decoder.list_tokens(data.counts(vocabulary).to(decoder.bias.device))
    return data


def _about(args: argparse.Namespace) -> dict[str, object]:
    """What the run learns from, for the notes that go with the weights."""
    from vision_llm_ros.evaluation.trial import machine_values
    from vision_llm_ros.model.weights import file_hash

    files = [path for path in (args.captions, args.annotations) if path]
    return {"files": {path.name: file_hash(path)[:12] for path in files}, "machine": machine_values()}


def export(source: Path, out: Path, notes: str) -> Manifest[DecoderTextConfig]:
    """See `text_loop.export`."""
    from vision_llm_ros.training import text_loop

    return text_loop.export(source, out, notes)
