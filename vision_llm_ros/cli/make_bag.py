"""`vision-llm make-bag FOLDER|VIDEO OUT`: a rosbag2 recording out of pictures or a video."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HELP = "make a rosbag2 recording from a folder of pictures or a video"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="FOLDER|VIDEO")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder of the recording; must not exist")
    parser.add_argument("--rate", type=float, default=0.0, metavar="HZ", help="default: the video's own, else 10")
    parser.add_argument("--topic", default="/image", help="default: /image")
    parser.add_argument("--encoding", default="rgb8", help="of raw pictures: rgb8, bgr8, rgba8, bgra8 or mono8")
    parser.add_argument("--compressed", nargs="?", const="jpeg", default="", metavar="jpeg|png", help="CompressedImage")
    parser.add_argument("--storage", default="mcap", help="mcap or sqlite3")
    parser.add_argument("--compression", default="none", help="zstd per chunk, message or file (default: none)")
    parser.add_argument("--frame-id", default="camera", help="frame_id of every header (default: camera)")
    parser.add_argument("--limit", type=int, default=0, metavar="N", help="stop after N frames")


def run(args: argparse.Namespace) -> int:
    from vision_llm_ros.evaluation.pictures_to_bag import BagOptions, open_source, write_bag

    options = BagOptions(
        rate_hz=args.rate,
        topic=args.topic,
        encoding=args.encoding,
        compressed=args.compressed,
        storage=args.storage,
        compression=args.compression,
        frame_id=args.frame_id,
        limit=args.limit,
    )
    source = open_source(args.source, options.rate_hz)
    count = write_bag(source, args.out, options)
    for text in source.skipped:
        print(f"skipped: {text}", file=sys.stderr)
    print(f"{args.out}: {count} frames at {source.rate_hz:g} Hz, {len(source.skipped)} skipped")
    return 0
