"""`vision-llm train restore --stage S`: the restoration route, stage by stage, and its export."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vision_llm_ros.cli.options import add_settings, given_settings
from vision_llm_ros.cli.progress import followed
from vision_llm_ros.config import ModelConfig, RestoreConfig, RestoreTrainConfig, RuntimeConfig
from vision_llm_ros.errors import ConfigError
from vision_llm_ros.resources import load_preset

if TYPE_CHECKING:
    import torch

    from vision_llm_ros.model.llm import LanguageModel
    from vision_llm_ros.model.restorer import Restorer
    from vision_llm_ros.model.weights import Manifest
    from vision_llm_ros.training.loop import Loop
    from vision_llm_ros.training.restore_data import Photographs

HELP = "restoration of noisy, blurred, rainy or holed pictures"
_READOUT, _BLEND = "readout", "blend"
_NETWORK = tuple(entry.name for entry in dataclasses.fields(RestoreConfig) if entry.name != "name")
_LEARNING = tuple(
    entry.name for entry in dataclasses.fields(RestoreTrainConfig) if entry.name not in ("stage", "betas")
)
_STAGES = RestoreTrainConfig.__dataclass_fields__["stage"].metadata["choices"]
_RUNTIME = ("device", "threads")
_DESCRIPTION = (
    "Learn restoration from clean photographs, which are damaged on the way: the visual module (stages masked and "
    "autoencoder), the residual path (detail), the estimator of damage, the language branch around an untouched "
    "language model (language), its layers out solved anew by least squares (readout), and how far the branch is "
    "trusted (blend). All stages share one run folder."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = _DESCRIPTION
    told = "folder of clean photographs, or a text file that names one a line"
    parser.add_argument("--photographs", type=Path, required=True, metavar="LIST", help=told)
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the run")
    parser.add_argument("--stage", choices=(*_STAGES, _READOUT, _BLEND), required=True, help="what to learn now")
    parser.add_argument("--preset", default="nano", help="preset whose language model is used (default: nano)")
    parser.add_argument(
        "--start-tiles",
        type=int,
        default=400,
        metavar="N",
        help="tiles of each kind measured by stages language (before it learns), readout and blend; squares measured "
        "by stage estimator",
    )
    parser.add_argument("--resume", action="store_true", help="continue from the stage's last checkpoint")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    add_settings(parser, RuntimeConfig, _RUNTIME)
    add_settings(parser.add_argument_group("network"), RestoreConfig, _NETWORK)
    add_settings(parser.add_argument_group("learning, of this stage"), RestoreTrainConfig, _LEARNING)


def run(args: argparse.Namespace) -> int:
    from vision_llm_ros.runtime.hardware import choose_device, set_threads
    from vision_llm_ros.training import restore_run
    from vision_llm_ros.training.loop import CHECKPOINT

    network = given_settings(args, RestoreConfig, _NETWORK)
    runtime = given_settings(args, RuntimeConfig, _RUNTIME)
    device = choose_device(runtime.device)
    set_threads(runtime)
    if args.stage in (_READOUT, _BLEND):
        restore_run.require(args.out, args.stage)
        return (_read_out if args.stage == _READOUT else _blend)(args, network, device)
    train = given_settings(args, RestoreTrainConfig, _LEARNING, stage=args.stage)
    if (args.out / args.stage / CHECKPOINT).is_file() and not args.resume:
        raise ConfigError(f"{args.out} already holds stage {args.stage}; add --resume, or name another --out")
    restore_run.require(args.out, args.stage)
    restore_run.write_settings(args.out, network, train, _about(args))
    loop = _loop(args, network, train, device)
    with followed(loop, args.stage, loop.parts, args.quiet, digits=3) as progress:
        loop.run(progress)
    print(f"{args.out}: stage {args.stage} done; curves in {args.stage}/losses.png")
    print(f"when all are: vision-llm train export {args.out} --out WEIGHTS/restore")
    return 0


def _loop(
    args: argparse.Namespace, network: RestoreConfig, train: RestoreTrainConfig, device: torch.device
) -> Loop[Any]:
    """The stage's loop, resumed or at its start."""
    import torch

    from vision_llm_ros.training import restore, restore_run
    from vision_llm_ros.training.restore_language import LanguageLoop

    torch.manual_seed(train.seed)
    llm, restorer = _network(args, network)
    photographs, folder = _photographs(args, train), args.out / args.stage
    if args.stage == "language":
        loop = LanguageLoop(restorer.language, llm, restorer.autoencoder, photographs, network, train, folder, device)
        if not loop.resume():
            loop.start(args.start_tiles, train.seed)
        return loop
    stage, module = {
        "detail": (restore.DetailLoop, restorer.detail),
        "estimator": (restore.EstimatorLoop, restorer.estimator),
    }.get(args.stage, (restore.AutoencoderLoop, restorer.autoencoder))
    simple = stage(module, photographs, network, train, folder, device)
    if isinstance(simple, restore.EstimatorLoop):
        simple.start(args.start_tiles)
    if not simple.resume() and isinstance(simple, restore.AutoencoderLoop):
        begun = any(key.startswith("autoencoder.") for key in restore_run.learnt(args.out))
        if not begun and network.visual == "nano":
            simple.start()
    return simple


def _read_out(args: argparse.Namespace, network: RestoreConfig, device: torch.device) -> int:
    from vision_llm_ros.training import restore_run
    from vision_llm_ros.training.restore_language import LanguageLoop

    train = given_settings(args, RestoreTrainConfig, _LEARNING)
    llm, restorer = _network(args, network)
    photographs, folder = _photographs(args, train), args.out / _READOUT
    loop = LanguageLoop(restorer.language, llm, restorer.autoencoder, photographs, network, train, folder, device)
    restore_run.save_solved(args.out, restore_run.READOUT, loop.read_out(args.start_tiles, train.seed))
    print(f"{args.out}: layers out of {', '.join(loop.kinds)} solved on {args.start_tiles} tiles each")
    return 0


def _blend(args: argparse.Namespace, network: RestoreConfig, device: torch.device) -> int:
    from vision_llm_ros.model.detail import KINDS
    from vision_llm_ros.model.restoration import TASKS
    from vision_llm_ros.training import restore_run
    from vision_llm_ros.training.restore_blend import fit_blend

    train = given_settings(args, RestoreTrainConfig, _LEARNING)
    llm, restorer = _network(args, network)
    blend = fit_blend(restorer.to(device).eval(), llm.to(device).eval(), _photographs(args, train), args.start_tiles)
    restore_run.save_solved(args.out, restore_run.BLEND, blend)
    print(f"{args.out}: share of what the language branch says, by kind of damage")
    for kind in KINDS:
        beside, alone = (float(blend[f"blend.{name}"][TASKS.index(kind)]) for name in ("weight", "alone"))
        print(f"  {kind}: {beside:.2f} beside the residual path, {alone:.2f} alone")
    return 0


def _network(args: argparse.Namespace, network: RestoreConfig) -> tuple[LanguageModel, Restorer]:
    """The language model and the network with what the run has learnt so far."""
    from vision_llm_ros.model.llm import LanguageModel
    from vision_llm_ros.model.restorer import Restorer
    from vision_llm_ros.training import restore_run

    preset: ModelConfig = load_preset(args.preset)
    deep = network.llm_layers if args.stage in ("language", _READOUT, _BLEND) else 1
    llm = LanguageModel(preset.llm, preset.llm_revision, deep, preset.llm_quantization)
    return llm, restore_run.fill(Restorer(network, llm.width), args.out)


def _photographs(args: argparse.Namespace, train: RestoreTrainConfig) -> Photographs:
    from vision_llm_ros.training.restore_data import Photographs, read_list

    return Photographs(read_list(args.photographs), train.size_px, train.held_out)


def _about(args: argparse.Namespace) -> dict[str, object]:
    from vision_llm_ros.evaluation.trial import machine_values
    from vision_llm_ros.model.weights import file_hash
    from vision_llm_ros.training.restore_data import read_list

    hashes = {args.photographs.name: file_hash(args.photographs)[:12]} if args.photographs.is_file() else {}
    return {"files": hashes, "photographs": len(read_list(args.photographs)), "machine": machine_values()}


def export(source: Path, out: Path, notes: str) -> Manifest[RestoreConfig]:
    """See `restore_run.export`."""
    from vision_llm_ros.training import restore_run

    return restore_run.export(source, out, notes)
