"""Command line options made from the fields of a settings dataclass: name, default and description stand there once."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterable
from typing import Any, TypeVar

T = TypeVar("T")


def add_settings(parser: argparse._ActionsContainer, settings: type, names: Iterable[str]) -> None:
    """Add `--field-name` for each named field; an option that is not given stays None."""
    fields = {entry.name: entry for entry in dataclasses.fields(settings)}
    for name in names:
        entry = fields[name]
        kind, default = type(entry.default), f" (default: {entry.default})" if entry.default != "" else ""
        told = f"{entry.metadata['description']}{default}".replace("%", "%%")
        how: dict[str, Any] = {"type": kind, "metavar": {int: "N", float: "X"}.get(kind, name.upper())}
        if kind is bool:
            how = {"action": argparse.BooleanOptionalAction}
        elif entry.metadata.get("choices"):
            how |= {"choices": entry.metadata["choices"], "metavar": None}
        parser.add_argument(f"--{name.replace('_', '-')}", default=None, help=told, **how)


def given_settings(args: argparse.Namespace, settings: type[T], names: Iterable[str], **fixed: Any) -> T:
    """The settings with the options that were given; the rest keep their defaults.

    Raises:
        ConfigError: a value is out of its range.
    """
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    return settings(**given, **fixed)
