"""`vision-llm ablate-restore`: the untouched language model as a restorer, beside what may replace it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vision_llm_ros.cli.options import add_settings, given_settings
from vision_llm_ros.config import RestoreTrainConfig, RuntimeConfig
from vision_llm_ros.errors import ConfigError
from vision_llm_ros.resources import load_preset, weights_path

if TYPE_CHECKING:
    from vision_llm_ros.evaluation.restore_arms import Ground

HELP = "what the language model does for restoration, beside linear maps, small networks and random weights"
_LEARNING = ("steps", "batch_size", "learning_rate", "warmup_steps", "save_every", "seed")
_RUNTIME = ("device", "threads")
ARMS = (
    *("reconstruction", "linear", "mlp", "transformer"),
    *("llm", "llm-random", "llm-at-once", "llm-joint", "aligned", "aligned-random"),
)


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

    try:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.touch()
    except OSError as error:
        raise ConfigError(f"--out: cannot write {args.out}: {error.strerror}") from error
    report = compare(_ground(args), _names(args.tasks), _names(args.arms), _progress)
    report["command"] = " ".join(["vision-llm", *sys.argv[1:]])
    args.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    args.out.with_suffix(".md").write_text(markdown(report), encoding="utf-8")
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


def _progress(title: str, steps: int) -> Callable[[int, dict[str, float]], None]:
    from tqdm import tqdm

    bar: Any = tqdm(total=steps, desc=title, unit="step")

    def advance(step: int, parts: dict[str, float]) -> None:
        bar.update(step - bar.n)
        if step >= steps:
            bar.close()

    return advance
