"""The commands of a replay: a YAML list of {at_s, text, ...}; a mistake is named with its line."""

from __future__ import annotations

import dataclasses
import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vision_llm_ros.errors import ConfigError
from vision_llm_ros.interfaces import Command, Mode

KINDS: dict[str, tuple[type, ...]] = {
    "at_s": (int, float),
    "text": (str,),
    "id": (str,),
    "camera": (str,),
    "mode": (str,),
    "rate_hz": (int, float),
    "time_to_live_s": (int, float),
    "priority": (int,),
    "region": (list,),
    "asr_confidence": (int, float),
}


@dataclass(frozen=True)
class TimedCommand:
    """A command given `at_s` seconds after the first frame; `line` is its place in the file."""

    at_s: float
    command: Command
    line: int


def read_commands(path: Path) -> tuple[list[TimedCommand], list[str]]:
    """Read a commands file.

    Returns:
        the good commands in order of time, and one sentence per bad entry: file, line, what is wrong.
    Raises:
        ConfigError: the file cannot be read, is no YAML list, or has no good entry.
    """
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), yaml.SafeLoader)
    except OSError as error:
        raise ConfigError(f"Cannot read commands {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text: bad byte at offset {error.start}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{place} is not YAML: {getattr(error, 'problem', None) or error}") from error
    if not isinstance(root, yaml.SequenceNode):
        raise ConfigError(f"{path}: expected a list of entries such as '- {{at_s: 0, text: find every person}}'")
    commands: list[TimedCommand] = []
    faults: list[str] = []
    for node in root.value:
        try:
            commands.append(_command(node))
        except ConfigError as error:
            faults.append(f"{path} {error}")
    if not commands:
        raise ConfigError(f"{path} has no command that can be used. {' '.join(faults)}".strip())
    return sorted(commands, key=lambda entry: entry.at_s), faults


def _command(node: Any) -> TimedCommand:
    line = node.start_mark.line + 1
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"line {line}: expected {{at_s: ..., text: ...}}")
    values: dict[str, Any] = {}
    for key, value in node.value:
        values[str(key.value)] = _value(str(key.value), value, key.start_mark.line + 1)
    if "text" not in values and values.get("mode") is not Mode.STOP:
        raise ConfigError(f"line {line}: an entry needs a text, e.g. text: find every person")
    at_s = float(values.pop("at_s", 0.0))
    if not 0 <= at_s < float("inf"):
        raise ConfigError(f"line {line}: at_s expects seconds from the first frame, 0 or more, got {at_s:g}")
    return TimedCommand(at_s, dataclasses.replace(Command(""), **values), line)


def _value(key: str, node: Any, line: int) -> Any:
    if key not in KINDS:
        close = difflib.get_close_matches(key, KINDS, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(KINDS)}"
        raise ConfigError(f"line {line}: unknown key {key!r}; {hint}")
    value: Any = yaml.SafeLoader("").construct_object(node, deep=True)
    known: tuple[type, ...] = KINDS[key]
    if isinstance(value, bool) or type(value) not in known:
        expected = " or ".join(kind.__name__ for kind in known)
        raise ConfigError(f"line {line}: {key} expects {expected}, got {value!r}")
    if key == "region":
        if len(value) != 4 or not all(isinstance(number, int | float) for number in value):
            raise ConfigError(f"line {line}: region expects [x0, y0, x1, y1] in fractions 0..1, got {value!r}")
        return tuple(float(number) for number in value)
    if key == "mode":
        if value not in list(Mode):
            raise ConfigError(f"line {line}: mode expects {', '.join(Mode)}, got {value!r}")
        return Mode(value)
    return value
