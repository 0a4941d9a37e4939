"""One command line over every room: `vision-llm COMMAND ...`.

A command is a module of this package with `HELP`, `add_arguments(parser)` and `run(args) -> int`.
Heavy imports belong inside `run`, so that `--help` answers at once.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import sys

from vision_llm_ros import __version__
from vision_llm_ros.errors import VisionLLMError

COMMANDS: tuple[str, ...] = (
    "perceive",
    "match",
    "find",
    "capfilt",
    "eval",
    "listen",
    "demo",
    "make-bag",
    "make-refer",
    "replay",
    "doctor",
    "train",
    "weights",
    "bench",
    "ablate",
    "ablate-restore",
)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vision-llm", description="Tell a camera what to look for, in words, and get typed results back."
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("-v", "--verbose", action="store_true", help="say more on the way; full traceback on an error")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
        module.add_arguments(subparsers.add_parser(name, help=module.HELP, description=module.HELP))
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one command; an error this package foresees becomes one line on stderr and exit code 1."""
    args = build_parser().parse_args(argv)
    logging.basicConfig(
        level=logging.INFO if args.verbose else logging.WARNING, format="%(levelname)s %(name)s: %(message)s"
    )
    module = importlib.import_module(f"{__name__}.{args.command.replace('-', '_')}")
    try:
        return int(module.run(args))
    except VisionLLMError as error:
        if args.verbose:
            raise
        print(f"vision-llm {args.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
