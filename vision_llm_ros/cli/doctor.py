"""`vision-llm doctor`: what is installed, what is wrong, what to do about it."""

from __future__ import annotations

import argparse
import dataclasses
import json

HELP = "examine this installation and say what to do about each finding"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the findings as a JSON list")


def run(args: argparse.Namespace) -> int:
    """Print the findings; 1 if something needed is broken, else 0."""
    from vision_llm_ros.cli.findings import Finding, State, examine

    findings: list[Finding] = []
    for finding in examine():
        findings.append(finding)
        if not args.json:
            print(f"{finding.state.value:<7}{finding.name:<20} {finding.text}", flush=True)
            if finding.advice:
                print(f"{'':27} -> {finding.advice}", flush=True)
    if args.json:
        print(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=2))
    return int(any(finding.state is State.BROKEN for finding in findings))
