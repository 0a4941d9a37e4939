"""From a task to the instruction the model reads, and from an advanced user's own instruction back to a task.

An instruction has four slots that vary on their own: the task description in words, the class map
`{"person":<c0>,"dog":<c1>}`, the coordinate range, and the output tuple `(c,x1,y1,x2,y2)`. A class token means
nothing by itself; the map gives it its name for this one request. Source: VisionLLM, section 3.1; wording ours.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

from vision_llm_ros.errors import CommandError, ConfigError
from vision_llm_ros.interfaces import MAX_POINTS, Task, TaskSpec
from vision_llm_ros.language.descriptions import DESCRIPTIONS
from vision_llm_ros.language.vocabulary import SEG_TOKENS, TEXT_QUERY, format_names

MAX_CLASSES = 512
MAX_INSTRUCTION_CHARACTERS = 100_000
SET_TASKS = frozenset({Task.DETECT, Task.GROUND, Task.POLYGON, Task.TRACK})
EXAMPLE = 'find every <class>. <class>={"person":<c0>} <range>=[-512,512] output: (c,x1,y1,x2,y2)'


@dataclass(frozen=True)
class Instruction:
    """An instruction in pieces, so that the model can encode each in its own way.

    Attributes:
        task: what is asked for.
        description: the request in words, with `<class>`, `<range>` and `<phrase>` already explained or filled.
        classes: names, in the order of `class_tokens`.
        class_tokens: index k of the token `<ck>` that stands for each class.
        range: coordinates run from -range to +range.
        num_points: 2 for boxes, 8..24 for polygons; 0 where no points are asked for.
        text: everything in one string.
    """

    task: Task
    description: str
    classes: tuple[str, ...] = ()
    class_tokens: tuple[int, ...] = ()
    range: int = 512
    num_points: int = 0
    text: str = ""

    @property
    def class_map(self) -> str:
        pairs = zip(self.classes, self.class_tokens, strict=True)
        return "{" + ",".join(f"{json.dumps(name, ensure_ascii=False)}:<c{token}>" for name, token in pairs) + "}"

    @property
    def output_tuple(self) -> str:
        """E.g. `(c,x1,y1,x2,y2)`; empty where no points are asked for."""
        return (
            "(" + ",".join(name[1:-1].replace("cls", "c") for name in self.output_tokens) + ")"
            if self.num_points
            else ""
        )

    @property
    def output_tokens(self) -> tuple[str, ...]:
        """Names of the query tokens that the decoder fills: one tuple, the seg tokens, or the text query."""
        if self.num_points:
            return format_names(self.num_points)
        return tuple(f"[SEG{i}]" for i in range(SEG_TOKENS)) if self.task is Task.SEGMENT else (TEXT_QUERY,)


def class_windows(classes: tuple[str, ...], size: int = MAX_CLASSES) -> Iterator[tuple[str, ...]]:
    """Cut a long class list into consecutive windows, each small enough for one instruction.

    Raises:
        ConfigError: the size is not positive.
    """
    if size < 1:
        raise ConfigError(f"Expected windows of at least one class, got {size}")
    for start in range(0, len(classes), size):
        yield classes[start : start + size]


def build(spec: TaskSpec, seed: int | None = None, *, location_range: int = 512) -> Instruction:
    """Write the instruction of a task.

    Args:
        spec: the task; `spec.instruction`, if given, is used as it stands.
        seed: chooses among the paraphrases; None takes the first, so that inference is deterministic.
        location_range: half the number of location bins.
    Raises:
        ConfigError: more classes than class tokens (use `class_windows`), or a task without instruction (stop).
        CommandError: `spec.instruction` is faulty.
    """
    if spec.instruction:
        return _read(spec.instruction)
    if spec.task not in DESCRIPTIONS:
        raise ConfigError(f"Task {spec.task} needs no instruction")
    if len(spec.classes) > MAX_CLASSES:
        raise ConfigError(f"Expected at most {MAX_CLASSES} classes, got {len(spec.classes)}: use class_windows")
    wordings = DESCRIPTIONS[spec.task]
    wording = wordings[0] if seed is None else random.Random(seed).choice(wordings)
    length = f" Be {'brief' if spec.caption_length == 'short' else 'detailed'}." if spec.caption_length else ""
    draft = Instruction(
        spec.task,
        wording.replace("<phrase>", spec.phrase or "the picture") + length,
        spec.classes,
        tuple(range(len(spec.classes))),
        location_range,
        spec.num_points if spec.task in SET_TASKS else 0,
    )
    return Instruction(**{**vars(draft), "text": _join(draft)})


def _join(draft: Instruction) -> str:
    parts = [draft.description]
    if draft.classes:
        parts.append(f"<class>={draft.class_map}")
    if draft.num_points:
        parts += [f"<range>=[-{draft.range},{draft.range}]", f"output: {draft.output_tuple}"]
    return " ".join(parts)


# --- reading a user's own -------------------------------------------------------------------------------------------

_PAIR = re.compile(r'\s*("(?:[^"\\]|\\.)*")\s*:\s*<c(\d+)>\s*')
_RANGE = re.compile(r"\[\s*-\s*(\d+)\s*,\s*(\d+)\s*\]")
_TUPLE = re.compile(r"\(\s*<?c(?:ls)?>?\s*,[^()]*\)|<cls>(?:\s*,?\s*<[xy]\d+>)*")
_MARKS = re.compile(r"<class>|<range>|<c\d+>|<cls>|<image>|<question>|\(\s*c\s*,\s*x1\b")


def is_instruction(text: str) -> bool:
    """Tell an instruction, which carries slots such as `<class>`, from a plain sentence."""
    return _MARKS.search(text) is not None


def parse_instruction(text: str) -> TaskSpec:
    """Understand an advanced user's own instruction.

    Returns:
        detect for 2 points, polygon for 8..24, caption or answer for an instruction without classes;
        `instruction` holds the text untouched, classes are in the order of the map.
    Raises:
        CommandError: it names the character where the fault is.
    """
    read = _read(text)
    phrase = _question(text) if read.task is Task.ANSWER else ""
    return TaskSpec(read.task, read.classes, phrase=phrase, num_points=read.num_points or 2, instruction=text)


def _fault(position: int, reason: str) -> CommandError:
    return CommandError(f"Instruction, character {position + 1}: {reason}", EXAMPLE)


def _read(text: str) -> Instruction:
    if len(text) > MAX_INSTRUCTION_CHARACTERS:
        raise _fault(
            MAX_INSTRUCTION_CHARACTERS, f"expected at most {MAX_INSTRUCTION_CHARACTERS} characters, got {len(text)}"
        )
    brace = text.find("{")
    if brace < 0:
        return _read_text_task(text)
    classes, tokens = _read_classes(text, brace)
    output = _TUPLE.search(text)
    if output is None:
        raise _fault(len(text), "expected an output tuple such as (c,x1,y1,x2,y2)")
    num_points = _read_tuple(output)
    span = _RANGE.search(text)
    if span and span[1] != span[2]:
        raise _fault(span.start(), f"expected a symmetric range such as [-512,512], got {span[0]}")
    if span and not 1 <= int(span[1]) <= 2048:
        raise _fault(span.start(), f"expected a range of 1 to 2048, got {span[1]}")
    task = Task.DETECT if num_points == 2 else Task.POLYGON
    description = text[:brace].removesuffix("<class>=").strip()
    return Instruction(task, description, classes, tokens, int(span[1]) if span else 512, num_points, text)


def _read_classes(text: str, brace: int) -> tuple[tuple[str, ...], tuple[int, ...]]:
    names: list[str] = []
    tokens: list[int] = []
    position = brace + 1
    while True:
        pair = _PAIR.match(text, position)
        if pair is None:
            raise _fault(position, 'expected "name":<c0>')
        try:
            name = str(json.loads(pair[1])).strip()
        except json.JSONDecodeError as error:
            raise _fault(pair.start(1), f"a class name that cannot be read: {error.msg}") from error
        token = int(pair[2][:9])
        if not name or name in names:
            raise _fault(pair.start(1), f"expected a new class name, got {name!r}")
        if token >= MAX_CLASSES or token in tokens:
            raise _fault(pair.start(2) - 2, f"expected an unused token <c0>..<c{MAX_CLASSES - 1}>, got <c{pair[2]}>")
        names.append(name)
        tokens.append(token)
        position = pair.end()
        if text[position : position + 1] == "}":
            return tuple(names), tuple(tokens)
        if text[position : position + 1] != ",":
            raise _fault(position, "expected ',' or '}' after a class")
        position += 1


def _read_tuple(output: re.Match[str]) -> int:
    """Number of points; an ellipsis stands for the points between: (c,x1,y1,...,x16,y16)."""
    fields = [field for field in re.split(r"[,\s<>()]+", output[0]) if field][1:]
    if "..." in fields or "…" in fields:
        last = re.fullmatch(r"y(\d{1,3})", fields[-1])
        if last is None:
            raise _fault(output.start(), f"expected a tuple that ends in y and a number, got {output[0][:60]}")
        fields = [f"{axis}{index}" for index in range(1, int(last[1]) + 1) for axis in "xy"]
    count = len(fields) // 2
    if fields != [f"{axis}{index}" for index in range(1, count + 1) for axis in "xy"]:
        raise _fault(output.start(), f"expected (c,x1,y1,x2,y2,..) in order, got {output[0][:60]}")
    if count != 2 and not 8 <= count <= MAX_POINTS:
        raise _fault(output.start(), f"expected 2 or 8..{MAX_POINTS} points, got {count}")
    return count


def _read_text_task(text: str) -> Instruction:
    for mark in ("<class>", "<range>", "<cls>"):
        place = text.find(mark)
        if place >= 0:
            raise _fault(place, f'{mark} is never explained: expected <class>={{"name":<c0>}}')
    stray = re.search(r"<c\d+>", text)
    if stray:
        raise _fault(stray.start(), f"{stray[0]} stands outside a class map")
    task = Task.ANSWER if _question(text) else Task.CAPTION
    return Instruction(task, text.replace("<image>", "").strip(), text=text)


def _question(text: str) -> str:
    found = re.search(r"(?:<question>|\bquestion)\s*[:=]?\s*[\"']?([^\"'<>]{3,300}?\?)", text, re.IGNORECASE)
    return found[1].strip() if found else ""
