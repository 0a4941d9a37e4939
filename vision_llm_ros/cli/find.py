"""`vision-llm find FOLDER|BAG "a person near a bicycle"`: moments in recordings by words."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from vision_llm_ros.cli.match import add_engine, load_matcher
from vision_llm_ros.errors import ConfigError

HELP = "find pictures in a folder or recording by words"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("place", type=Path, metavar="FOLDER|BAG", help="pictures, or a recording")
    parser.add_argument("words", metavar="WORDS", help='e.g. "a person near a bicycle"')
    parser.add_argument("--count", type=int, default=12, metavar="N", help="best pictures to show (default: 12)")
    parser.add_argument("--shortlist", type=int, default=64, metavar="N", help="examined closely (default: 64)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="look at each N-th picture (default: 1)")
    parser.add_argument(
        "--topic", action="append", default=[], metavar="T", help="image topic of a recording; repeatable"
    )
    parser.add_argument("--sheet", type=Path, metavar="OUT.png", help="write a contact sheet")
    parser.add_argument("--json", type=Path, metavar="OUT.json", help="write sources, stamps and scores")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    add_engine(parser)


def run(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from vision_llm_ros.evaluation import finding
    from vision_llm_ros.runtime.pictures import write_picture

    for name in ("count", "shortlist", "every"):
        if getattr(args, name) < 1:
            raise ConfigError(f"--{name}: expected at least 1, got {getattr(args, name)}")
    if not args.words.strip():
        raise ConfigError("Expected words to look for, got none")
    if not args.place.exists():
        raise ConfigError(f"{args.place} does not exist; name a folder of pictures or a recording")
    frames = finding.frames_of(args.place, args.every, tuple(args.topic))
    watched = iter(tqdm(frames, desc="find", unit="picture", disable=args.quiet))
    found = finding.find(load_matcher(args), watched, args.words, max(args.shortlist, args.count), args.count)
    for each in found:
        stamp = f"  {each.moment.stamp_ns / 1e9:.3f} s" if each.moment.stamp_ns else ""
        print(f"{each.fit.probability:.2f}  {each.fit.similarity:+.2f}  {each.moment.source}{stamp}")
    if args.sheet:
        write_picture(args.sheet, finding.sheet(found))
    if args.json:
        values = {"words": args.words, "place": str(args.place), "found": [each.values() for each in found]}
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    return 0
