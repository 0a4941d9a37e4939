"""Which command wants an answer, when, and what became of it. No ROS, no threads, no clock of its own.

Times are seconds of one clock that the caller chooses: ROS time in a node, virtual time in a replay.
Camera "" stands for the only camera of a node without named ones.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from vision_llm_ros.config import NodeConfig
from vision_llm_ros.errors import CommandError, ConfigError
from vision_llm_ros.interfaces import Command, CommandState, Mode, Task, TaskSpec
from vision_llm_ros.language.pointing import spell_out
from vision_llm_ros.language.saying import describe
from vision_llm_ros.runtime.regions import marked

Parser = Callable[[str], TaskSpec]
MAX_TEXT = 500
MAX_ID = 100
REMEMBERED_IDS = 4096


@dataclass(frozen=True)
class CommandEvent:
    """One line of say-back.

    Attributes:
        generation: 0 when refused, else which command of this id it is, from 1.
        spec: what was understood; None when refused.
        text: one sentence for the operator.
        nearest: for a refusal, the closest sentence that would be accepted, or "".
    """

    state: CommandState
    command_id: str
    generation: int
    command_text: str
    spec: TaskSpec | None
    text: str
    nearest: str = ""


@dataclass
class LiveCommand:
    """A command at work. `(id, generation)` never names two commands.

    Attributes:
        spec: as understood, with the command's own mode, rate and region put in.
        due_s: per camera, when the next answer may be given.
        pending: for a once-command, the cameras that have not answered yet.
        guest: serves only the camera named in the command, which need not be one of the node's.
    """

    command: Command
    spec: TaskSpec
    generation: int
    accepted_s: float
    expires_s: float
    due_s: dict[str, float]
    pending: set[str] = field(default_factory=set)
    guest: bool = False

    @property
    def id(self) -> str:
        return self.command.id

    @property
    def key(self) -> tuple[str, int]:
        return self.command.id, self.generation


class CommandBook:
    """Every live command of a node, and the rules for accepting, repeating and ending them.

    Args:
        parse: sentence -> task; raises `CommandError`.
        tasks: what the engine serves; other tasks are refused.
        config: limits and defaults; may be replaced at any time, live commands keep theirs.
        cameras: names of the cameras; ("",) for a single unnamed one.
    """

    def __init__(
        self,
        parse: Parser,
        tasks: Iterable[Task],
        config: NodeConfig | None = None,
        cameras: tuple[str, ...] = ("",),
    ) -> None:
        self.config = config or NodeConfig()
        self.cameras = cameras
        self._parse = parse
        self._tasks = frozenset(tasks)
        self._live: dict[str, LiveCommand] = {}
        self._generations: OrderedDict[str, int] = OrderedDict()
        self._made_ids = 0

    @property
    def live(self) -> tuple[LiveCommand, ...]:
        return tuple(self._live.values())

    def understand(self, command: Command) -> TaskSpec | CommandError:
        """Parse and check everything that does not depend on other commands; needs no exclusive access."""
        try:
            self._check_fields(command)
            if command.mode is Mode.STOP:
                return TaskSpec(Task.STOP, mode=Mode.STOP)
            spec = self._parse(command.text if command.region is None else spell_out(command.text))
            return self._stopping(command, spec) if spec.task is Task.STOP else self._resolved(command, spec)
        except CommandError as error:
            return error
        except ConfigError as error:
            return CommandError(f"{error}; correct the value and send the command again")

    def submit(self, command: Command, now: float) -> tuple[CommandEvent, ...]:
        """Accept, refuse, replace or stop; the last event is the say-back of this very command."""
        return self.admit(command, self.understand(command), now)

    def admit(
        self, command: Command, understood: TaskSpec | CommandError, now: float, guest: bool = False
    ) -> tuple[CommandEvent, ...]:
        """The second half of `submit`. A refused replacement leaves the live command as it is."""
        if isinstance(understood, TaskSpec) and understood.task is Task.STOP:
            if not understood.then:
                return self._stop(command, understood)
            stopped = self._stop(replace(command, id=""), replace(understood, then=()))
            return *stopped, *self.admit(command, _following(understood), now, guest)
        command = command if command.id else replace(command, id=self._make_id())
        if isinstance(understood, TaskSpec):
            understood = self._check_room(command, understood, guest)
        if isinstance(understood, CommandError):
            return (refusal(command, understood),)
        return self._accept(command, understood, now, guest)

    def due(self, camera: str, now: float) -> tuple[LiveCommand, ...]:
        """Commands that want an answer from this camera now: by priority, then by who has waited longest."""
        found = [entry for entry in self._live.values() if entry.due_s.get(camera, math.inf) <= now < entry.expires_s]
        return tuple(sorted(found, key=lambda entry: (-entry.command.priority, entry.due_s[camera])))

    def next_due_s(self, camera: str) -> float:
        """When this camera is wanted next; infinity if no command watches it."""
        return min((entry.due_s.get(camera, math.inf) for entry in self._live.values()), default=math.inf)

    def next_expiry_s(self) -> float:
        return min((entry.expires_s for entry in self._live.values()), default=math.inf)

    def watches(self, camera: str) -> bool:
        return any(camera in entry.due_s for entry in self._live.values())

    def is_live(self, command_id: str, generation: int) -> bool:
        entry = self._live.get(command_id)
        return entry is not None and entry.generation == generation

    def answered(
        self, command_id: str, generation: int, camera: str, taken_s: float, failure: str = "", final: bool = True
    ) -> tuple[CommandEvent, ...]:
        """Note an answer and set the next due time.

        Args:
            taken_s: when its frame was taken up.
            failure: how the engine failed, or "".
            final: False when nothing could be computed (old or damaged frame): a once-command then
                waits for a better frame, at the default rate.
        Returns:
            FINISHED or FAILED of a once-command, nothing otherwise or for a generation no longer live.
        """
        entry = self._live.get(command_id)
        if entry is None or entry.generation != generation:
            return ()
        if entry.spec.mode is Mode.ONCE and final:
            return self._answered_once(entry, camera, failure)
        rate_hz = entry.spec.rate_hz if entry.spec.mode is Mode.CONTINUOUS else self.config.default_rate_hz
        # On the grid of due times, so that waiting for frames does not slow the rate; a longer pause starts it anew.
        period_s, due_s = 1 / rate_hz, entry.due_s.get(camera, taken_s)
        on_grid = final and taken_s - due_s <= period_s
        entry.due_s[camera] = (due_s if on_grid else taken_s) + period_s
        return ()

    def expire(self, now: float) -> tuple[CommandEvent, ...]:
        """End every command whose time to live has run out."""
        ended = [entry for entry in self._live.values() if now >= entry.expires_s]
        return tuple(
            self._end(entry, CommandState.EXPIRED, f"ended after {entry.expires_s - entry.accepted_s:g} s of life")
            for entry in ended
        )

    def end(
        self, command_id: str, generation: int, text: str, state: CommandState = CommandState.STOPPED
    ) -> tuple[CommandEvent, ...]:
        """End one command if it is still live."""
        entry = self._live.get(command_id)
        if entry is None or entry.generation != generation:
            return ()
        return (self._end(entry, state, text),)

    def end_all(self, text: str) -> tuple[CommandEvent, ...]:
        return tuple(self._end(entry, CommandState.STOPPED, text) for entry in self.live)

    def shift(self, delta_s: float) -> None:
        """Move every time by `delta_s`: the clock has jumped, e.g. a recording started anew."""
        for entry in self._live.values():
            entry.accepted_s += delta_s
            entry.expires_s += delta_s
            entry.due_s = {camera: due + delta_s for camera, due in entry.due_s.items()}

    def _check_fields(self, command: Command) -> None:
        text, confidence = command.text, command.asr_confidence
        if len(command.id) > MAX_ID:
            raise CommandError(f"Expected an id of at most {MAX_ID} characters, got {len(command.id)}")
        if "\ufffd" in text or "\ufffd" in command.id:
            raise CommandError("The command is not valid UTF-8; send it as UTF-8 text")
        if len(text) > MAX_TEXT:
            raise CommandError(f"Expected at most {MAX_TEXT} characters, got {len(text)}; say it shorter")
        for name, value in (("rate_hz", command.rate_hz), ("time_to_live_s", command.time_to_live_s)):
            if not (math.isfinite(value) and value >= 0):
                raise CommandError(f"{name}: expected 0 or more, got {value}")
        if not 0 <= confidence <= 1:
            raise CommandError(f"asr_confidence: expected 0..1, got {confidence}")
        gate = self.config.asr_confidence_threshold
        if confidence < gate:
            raise CommandError(f"Heard {text!r} with confidence {confidence:.2f}, below {gate:.2f}; say it again")

    def _stopping(self, command: Command, spec: TaskSpec) -> TaskSpec:
        """A stop, and what is asked for instead put as `_resolved` says."""
        return replace(spec, then=self._resolved(command, _following(spec)).steps) if spec.then else spec

    def _resolved(self, command: Command, spec: TaskSpec) -> TaskSpec:
        """Put the command's own mode, rate and region into the spec; they outrank the words."""
        restores = any(step.restore_first or step.task is Task.RESTORE for step in spec.steps)
        for task in (*(step.task for step in spec.steps), *((Task.RESTORE,) if restores else ())):
            if task not in self._tasks:
                served = ", ".join(sorted(self._tasks)) or "nothing"
                raise CommandError(f"This model cannot {task}; it serves: {served}")
        mode = command.mode or (Mode.CONTINUOUS if command.rate_hz > 0 else spec.mode)
        usual_hz = self.config.restore_rate_hz if restores else self.config.default_rate_hz
        rate_hz = command.rate_hz or spec.rate_hz or usual_hz
        rate_hz = rate_hz if mode is Mode.CONTINUOUS else 0.0
        first, *rest = [marked(replace(step, mode=mode, rate_hz=rate_hz), command.region) for step in spec.steps]
        return replace(first, then=tuple(rest))

    def _check_room(self, command: Command, spec: TaskSpec, guest: bool) -> TaskSpec | CommandError:
        if command.camera and command.camera not in self.cameras and not guest:
            known = ", ".join(filter(None, self.cameras)) or "one unnamed camera, so leave the name empty"
            return CommandError(f"No camera {command.camera!r}; there is {known}")
        limit = self.config.max_live_commands
        if command.id not in self._live and len(self._live) >= limit:
            return CommandError(f"{limit} commands are live already, which is the limit; stop one first", "stop")
        return spec

    def _accept(self, command: Command, spec: TaskSpec, now: float, guest: bool) -> tuple[CommandEvent, ...]:
        generation = self._next_generation(command.id)
        cameras = (command.camera,) if guest or command.camera else self.cameras
        life_s = command.time_to_live_s or spec.time_to_live_s or self.config.time_to_live_s
        entry = LiveCommand(
            command, spec, generation, now, now + life_s, dict.fromkeys(cameras, now), set(cameras), guest
        )
        old = self._live.get(command.id)
        replaced = (
            (self._end(old, CommandState.REPLACED, f"generation {generation} took over"),) if old is not None else ()
        )
        self._live[command.id] = entry
        return *replaced, event_of(entry, CommandState.ACCEPTED, describe(spec))

    def _stop(self, command: Command, spec: TaskSpec) -> tuple[CommandEvent, ...]:
        """End the command named by `id`, else those that look for the spec's words, else all."""
        own = replace(command, id=self._make_id())
        if command.id and command.id not in self._live:
            live = ", ".join(self._live) or "none"
            return (refusal(own, CommandError(f"No live command {command.id!r} to stop; live: {live}")),)
        wanted = _words_of(spec)
        targets = [
            entry
            for entry in self.live
            if (entry.id == command.id if command.id else not wanted or wanted & _words_of(entry.spec))
        ]
        ended = tuple(self._end(entry, CommandState.STOPPED, "stopped by a command") for entry in targets)
        text = f"stopped {', '.join(entry.id for entry in targets)}" if targets else "nothing to stop"
        return *ended, CommandEvent(CommandState.FINISHED, own.id, 1, command.text, spec, text)

    def _answered_once(self, entry: LiveCommand, camera: str, failure: str) -> tuple[CommandEvent, ...]:
        entry.pending.discard(camera)
        entry.due_s.pop(camera, None)
        if failure:
            return (self._end(entry, CommandState.FAILED, failure),)
        return () if entry.pending else (self._end(entry, CommandState.FINISHED, "answered"),)

    def _end(self, entry: LiveCommand, state: CommandState, text: str) -> CommandEvent:
        del self._live[entry.id]
        return event_of(entry, state, text)

    def _next_generation(self, command_id: str) -> int:
        generation = self._generations.pop(command_id, 0) + 1
        self._generations[command_id] = generation
        for name in list(self._generations)[: max(0, len(self._generations) - REMEMBERED_IDS)]:
            if name not in self._live:
                del self._generations[name]
        return generation

    def _make_id(self) -> str:
        self._made_ids += 1
        made = f"c{self._made_ids}"
        return made if made not in self._live else self._make_id()


def _following(spec: TaskSpec) -> TaskSpec:
    """The tasks after the first as a command of their own."""
    first, *rest = spec.then
    return replace(first, then=tuple(rest))


def _words_of(spec: TaskSpec) -> set[str]:
    """What a command, or any task of a plan, looks for or asks."""
    return {word for step in spec.steps for word in (*step.classes, step.phrase)} - {""}


def event_of(entry: LiveCommand, state: CommandState, text: str) -> CommandEvent:
    """Say-back about a live command."""
    return CommandEvent(state, entry.id, entry.generation, entry.command.text, entry.spec, text)


def refusal(command: Command, error: CommandError) -> CommandEvent:
    """Say-back of a command that was not accepted; its text is cut to what a status line can bear."""
    return CommandEvent(CommandState.REFUSED, command.id, 0, command.text[:MAX_TEXT], None, str(error), error.nearest)
