"""`vision-llm ablate-restore`: the untouched language model as a restorer, beside what may replace it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from vision_llm_ros.cli.arm_report import check_writable, progress, write_report
from vision_llm_ros.cli.options import add_settings, given_settings
from vision_llm_ros.config import RestoreTrainConfig, RuntimeConfig
from vision_llm_ros.evaluation.arms import RESTORE_ARMS
from vision_llm_ros.resources import load_preset, weights_path

if TYPE_CHECKING:
    from vision_llm_ros.evaluation.restore_arms import Ground

HELP = "what the language model does for restoration, beside linear maps, small networks and random weights"
_LEARNING = ("steps", "batch_size", "learning_rate", "warmup_steps", "save_every", "seed", "objective")
_RUNTIME = ("device", "threads")
ARMS = tuple(RESTORE_ARMS)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    told = "folder of clean photographs, or a text file that names one a line"
    parser.add_argument("--photographs", type=Path, required=True, metavar="LIST", help=told)
    parser.add_argument("--weights", type=Path, metavar="FOLDER", help="visual module (default: that of the package)")
    parser.add_argument("--preset", default="nano", help="preset whose language model is used (default: nano)")
    parser.add_argument("--tasks", default="denoise", metavar="A,B", help="one after another (default: denoise)")
    parser.add_argument("--arms", default=",".join(ARMS), metavar="A,B", help=f"some of {', '.join(ARMS)}")
    parser.add_argument("--llm-layers", type=int, default=20, metavar="N", help="first layers used (default: 20)")
    parser.add_argument("--start-tiles", type=int, default=256, metavar="N", help="the layer out is solved on these")
    parser.add_argument("--tiles", type=int, default=64, metavar="N", help="to measure on (default: 64)")
    parser.add_argument("--out", type=Path, required=True, metavar="T.json", help="report; a table goes to T.md")
    add_settings(parser, RuntimeConfig, _RUNTIME)
    add_settings(parser, RestoreTrainConfig, _LEARNING)


def run(args: argparse.Namespace) -> int:
    from vision_llm_ros.evaluation.restore_arms import compare, markdown

    check_writable(args.out)
    report = compare(_ground(args), _names(args.tasks), _names(args.arms), progress)
    write_report(args.out, report, markdown(report))
    print(markdown(report))
    return 0


def _ground(args: argparse.Namespace) -> Ground:
    from dataclasses import replace

    from vision_llm_ros.config import RestoreConfig
    from vision_llm_ros.evaluation.restore_arms import Ground
    from vision_llm_ros.model import weights
    from vision_llm_ros.model.llm import LanguageModel
    from vision_llm_ros.model.restorer import Restorer
    from vision_llm_ros.runtime.hardware import choose_device, set_threads
    from vision_llm_ros.training.restore_data import Photographs, read_list

    runtime = given_settings(args, RuntimeConfig, _RUNTIME)
    set_threads(runtime)
    device, preset = choose_device(runtime.device), load_preset(args.preset)
    folder = args.weights or weights_path() / preset.name / "restore"
    config = weights.read_manifest(folder, RestoreConfig).config
    restorer = Restorer(config, 1)
    own = {key: value for key, value in restorer.learned().items() if key.startswith("autoencoder.")}
    weights.fill(own, weights.load(folder, ("autoencoder",)), str(folder))
    train = given_settings(args, RestoreTrainConfig, _LEARNING, stage="language")
    paths = read_list(args.photographs)
    learnt, kept_back = (Photographs(paths, train.size_px, train.held_out, kept) for kept in (False, True))

    def load_llm() -> LanguageModel:
        llm = LanguageModel(preset.llm, preset.llm_revision, args.llm_layers, preset.llm_quantization)
        return llm.to(device).eval()

    return Ground(
        replace(config, llm_layers=args.llm_layers),
        train,
        restorer.autoencoder.to(device).eval(),
        learnt,
        kept_back,
        load_llm,
        args.out.with_suffix(".runs"),
        device,
        start_tiles=args.start_tiles,
        tiles=args.tiles,
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
