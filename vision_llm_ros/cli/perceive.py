"""`vision-llm perceive IMAGE --say "find every person"`: one picture, one sentence, no ROS running."""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vision_llm_ros.cli.options import add_settings, given_settings
from vision_llm_ros.config import ExpertsConfig, RuntimeConfig
from vision_llm_ros.errors import CommandError, ConfigError, InputError, UnsupportedTaskError
from vision_llm_ros.interfaces import Box, Engine, Frame, Mask, Mode, Perception, Prompt, TaskSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vision_llm_ros.runtime.plans import Steps

_EXPERTS = tuple(entry.name for entry in dataclasses.fields(ExpertsConfig) if entry.name.startswith("expert_"))
HELP = "answer one sentence about one picture, without ROS running"


MARKS = (
    ("region", "X0,Y0,X1,Y1", "only what has its centre in this box: left, top, right, bottom"),
    ("point", "X,Y", 'what is here, e.g. with --say "segment this"'),
    ("polygon", "X0,Y0,X1,Y1,...", "only what has its centre in here"),
    ("scribble", "X0,Y0,X1,Y1,...", "what this line is drawn over"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", type=Path, metavar="IMAGE", help="picture file")
    parser.add_argument("--say", required=True, metavar="TEXT", help='e.g. "find every person and dog"')
    parser.add_argument("--json", action="store_true", help="print the whole result as JSON")
    parser.add_argument("--draw", type=Path, metavar="OUT.png", help="write the picture with the result drawn on it")
    parser.add_argument(
        "--masks", type=Path, metavar="OUT.png", help="write masks as one picture: 0 is nothing, i the i-th mask listed"
    )
    mark = parser.add_mutually_exclusive_group()
    for name, shape, told in MARKS:
        mark.add_argument(f"--{name}", metavar=shape, help=f"{told}, fractions 0..1")
    parser.add_argument("--model", default="nano", help="preset name or YAML file (default: nano)")
    parser.add_argument("--weights", default="", help="folder of trained weights (default: those of the package)")
    parser.add_argument("--device", default=RuntimeConfig().device, help="auto, cpu or cuda:N (default: auto)")
    told = "who answers a task instead of the model, e.g. detect=experts; repeatable"
    parser.add_argument("--backend", action="append", default=[], metavar="TASK=NAME", help=told)
    add_settings(parser.add_argument_group("checkpoints of the back end experts"), RuntimeConfig, _EXPERTS)
    parser.add_argument("--threshold", type=float, metavar="SCORE", help="report nothing below this score, 0..1")


def run(args: argparse.Namespace) -> int:
    from vision_llm_ros.runtime.pictures import read_picture

    image = read_picture(args.image)
    region = region_of(args)
    try:
        spec, engine = understand(args.say, region), None
    except CommandError as error:
        engine = load(args.model, _runtime(args))
        if error.final or getattr(engine, "router", None) is None:
            raise
        spec = understand(args.say, region, engine)
    engine = engine or load(args.model, _runtime(args))
    started = time.perf_counter()
    steps = perceive(engine, image, spec)
    latency_ms = (time.perf_counter() - started) * 1e3
    if args.draw:
        _draw(args.draw, image, steps, args.say, f"{engine.name}  {latency_ms:.0f} ms")
    if args.masks:
        masks = tuple(mask for _, perception in steps for mask in perception.masks)
        _write_masks(args.masks, masks, (image.shape[1], image.shape[0]))
    values = [_values(args, image, step, perception, engine, latency_ms) for step, perception in steps]
    if args.json:
        print(json.dumps(values[0] | ({"then": values[1:]} if spec.then else {}), indent=2))
    else:
        print("\n".join(map(_lines, values)))
    return 0


def region_of(args: argparse.Namespace) -> Box | Prompt | None:
    """The mark that was given.

    Raises:
        ConfigError: no numbers, the wrong number of them, or out of range.
    """
    from vision_llm_ros.runtime.regions import read_region

    for name, shape, _ in MARKS:
        text = getattr(args, name)
        if text is None:
            continue
        try:
            values = [float(part) for part in text.split(",")]
            if len(values) not in ({"region": (4,), "point": (2,)}.get(name) or range(6, 10_000, 2)):
                raise ValueError
            if name == "polygon" and values[:2] != values[-2:]:
                values += values[:2]
            return read_region(values)
        except ValueError:
            raise ConfigError(f"--{name} expects {shape} as numbers such as 0.2,0.5, got {text!r}") from None
        except InputError as error:
            raise ConfigError(f"--{name} {error}") from None
    return None


def understand(text: str, region: Box | Prompt | None = None, engine: Engine | None = None) -> TaskSpec:
    """Parse a sentence; synonyms are found by the model's text encoder. With a region, "this" is what it marks.

    Args:
        engine: whose language model reads what the grammar does not know; None: the grammar alone.

    Raises:
        CommandError: not understood, or a stop, which needs a running node.
    """
    from vision_llm_ros.language.parser import CommandParser
    from vision_llm_ros.language.plan import Planner
    from vision_llm_ros.language.pointing import spell_out
    from vision_llm_ros.model.text import load_text_similarity
    from vision_llm_ros.runtime.regions import marked
    from vision_llm_ros.runtime.router import parser_for

    try:
        grammar = CommandParser(load_text_similarity())
        parse = Planner(grammar.parse).parse if engine is None else parser_for(engine, grammar)
        spec = parse(text if region is None else spell_out(text))
    except CommandError as error:
        hint = f'; try "{error.nearest}"' if error.nearest else ""
        raise CommandError(f"{error}{hint}", error.nearest, error.final) from error
    if spec.mode == Mode.STOP:
        raise CommandError(f"{text!r} ends a command of a running node; a single picture has nothing to stop")
    first, *rest = [marked(step, region) for step in spec.steps]
    return dataclasses.replace(first, then=tuple(rest))


def load(preset: str, runtime: RuntimeConfig) -> Engine:
    from vision_llm_ros.runtime.engine import load_engine

    return load_engine(preset, runtime)


def perceive(engine: Engine, image_rgb_u8: NDArray[np.uint8], spec: TaskSpec) -> Steps:
    """Answer one spec on one picture; a plan gives an answer for each of its tasks.

    Raises:
        UnsupportedTaskError: the engine has no head for it; the message lists what it serves.
    """
    from vision_llm_ros.runtime.plans import follow

    for step in spec.steps:
        if step.task not in engine.tasks:
            served = ", ".join(sorted(engine.tasks))
            raise UnsupportedTaskError(f"Model {engine.name!r} has no head for {step.task!s}; it serves {served}")
    frame = Frame(image_rgb_u8)
    return follow(engine, frame, spec) if spec.then else ((spec, engine.perceive(frame, (spec,))[0]),)


def _runtime(args: argparse.Namespace) -> RuntimeConfig:
    chosen = given_settings(
        args, RuntimeConfig, _EXPERTS, weights=args.weights, device=args.device, backends=tuple(args.backend)
    )
    if args.threshold is None:
        return chosen
    return dataclasses.replace(chosen, score_threshold=args.threshold, mask_threshold=args.threshold)


def _draw(path: Path, image: NDArray[np.uint8], steps: Steps, command: str, note: str) -> None:
    from vision_llm_ros.runtime.draw import draw_perception
    from vision_llm_ros.runtime.pictures import write_picture

    for spec, perception in steps:
        image = draw_perception(image, perception, command, note, spec.classes)
    write_picture(path, image)


def _write_masks(path: Path, masks: tuple[Mask, ...], size_wh_px: tuple[int, int]) -> None:
    from vision_llm_ros.runtime.draw import label_image
    from vision_llm_ros.runtime.pictures import write_picture

    if path.suffix.lower() != ".png":
        raise ConfigError(f"--masks {path}: expected a .png, other formats change the numbers")
    write_picture(path, label_image(masks, size_wh_px))


def _values(
    args: argparse.Namespace,
    image: NDArray[np.uint8],
    spec: TaskSpec,
    perception: Perception,
    engine: Engine,
    latency_ms: float,
) -> dict[str, Any]:
    from vision_llm_ros.runtime.plain import perception_values, spec_values

    return {
        "image": str(args.image),
        "width": image.shape[1],
        "height": image.shape[0],
        "command": {"text": args.say, **spec_values(spec)},
        **perception_values(perception),
        "latency_ms": round(latency_ms, 3),
        "model": engine.name,
        "weights_hash": engine.weights_hash,
        "device": engine.device,
        "dtype": engine.dtype,
    }


def _lines(values: dict[str, Any]) -> str:
    """The result for a reader: one line per object, then the status."""
    lines = [
        f"{item['label']:<20} {item['score']:.2f}  box "
        + " ".join(f"{value:.0f}" for value in item["box_xyxy_px"])
        + (f"  mask {item['pixel_count']} px" if "pixel_count" in item else "")
        for item in (*values["detections"], *values["masks"])
    ]
    if values["caption"]:
        lines.append(f"{values['caption']['text']}  ({values['caption']['score']:.2f})")
    if values["restored"]:
        lines.append(
            "restored: {kind}, quality {quality_before:.2f} -> {quality_after:.2f}".format(**values["restored"])
        )
    reason = f": {values['text']}" if values["text"] else ""
    lines.append(f"{values['status']}{reason}  [{values['model']}, {values['latency_ms']:.0f} ms]")
    return "\n".join(lines)
