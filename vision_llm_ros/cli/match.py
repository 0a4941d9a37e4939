"""`vision-llm match IMAGE "a dog on a sofa"`: does the sentence fit the picture?"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from vision_llm_ros.config import RuntimeConfig
from vision_llm_ros.errors import ConfigError

if TYPE_CHECKING:
    from vision_llm_ros.runtime.matching import Matcher

HELP = "tell how well sentences fit a picture"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", type=Path, metavar="IMAGE", help="picture file")
    parser.add_argument("sentence", nargs="+", metavar="SENTENCE", help='e.g. "a person near a bicycle"')
    parser.add_argument("--json", action="store_true", help="print the whole result as JSON")
    parser.add_argument(
        "--threshold", type=float, metavar="P", help="probability from which it fits (default: trained)"
    )
    add_engine(parser)


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Which model answers, for `match`, `find` and `capfilt`."""
    parser.add_argument("--model", default="nano", help="preset name or YAML file (default: nano)")
    parser.add_argument("--weights", default="", metavar="DIR", help="folder of trained weights (default: shipped)")
    parser.add_argument("--device", default=RuntimeConfig().device, help="auto, cpu or cuda:N (default: auto)")


def run(args: argparse.Namespace) -> int:
    from vision_llm_ros.interfaces import Frame
    from vision_llm_ros.runtime.pictures import read_picture

    frame = Frame(read_picture(args.image))
    for sentence in args.sentence:
        if not sentence.strip():
            raise ConfigError("Expected a sentence, got an empty one")
    matcher = load_matcher(args)
    threshold = matcher.config.match_threshold if args.threshold is None else args.threshold
    look = matcher.look_frame(frame)
    fits = matcher.fits([(look, sentence) for sentence in args.sentence])
    values = [
        {
            "sentence": sentence,
            "similarity": round(fit.similarity, 4),
            "itm_probability": round(fit.fit_probability, 4),
            "probability": round(fit.probability, 4),
            "fits": fit.probability >= threshold,
        }
        for sentence, fit in zip(args.sentence, fits, strict=True)
    ]
    if args.json:
        print(json.dumps({"image": str(args.image), "threshold": threshold, "sentences": values}, indent=2))
    else:
        for value in values:
            verdict = "fits" if value["fits"] else "does not fit"
            print(
                f"{verdict}: {value['sentence']}  (probability {value['probability']:.2f}, threshold {threshold:.2f}; "
                f"ITC similarity {value['similarity']:.2f}, ITM probability {value['itm_probability']:.2f})"
            )
    return 0


def load_matcher(args: argparse.Namespace) -> Matcher:
    """The matcher of the model asked for.

    Raises:
        UnsupportedTaskError: it has none.
    """
    from vision_llm_ros.runtime.engine import load_engine
    from vision_llm_ros.runtime.matching import matcher_of

    return matcher_of(load_engine(args.model, RuntimeConfig(weights=args.weights, device=args.device)))
