"""Back ends: models beside the package's own that answer some of its tasks behind the same topics.

A back end is an `interfaces.Engine` with a `health`. Another package offers one by an entry point of the group
`vision_llm_ros.backends` whose value is a function (RuntimeConfig) -> Backend; see docs/vitron.md.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import Protocol, cast

from vision_llm_ros.config import RuntimeConfig
from vision_llm_ros.errors import ConfigError, VisionLLMError, WeightsError
from vision_llm_ros.interfaces import Engine, Frame, Perception, SentenceRouter, Task, TaskSpec
from vision_llm_ros.model.weights import joint_hash
from vision_llm_ros.runtime.restored_first import on_restored

GROUP = "vision_llm_ros.backends"
_OWN = {"experts": "vision_llm_ros.runtime.backends.experts:load"}


@dataclass(frozen=True)
class Health:
    """Whether a back end can serve now; `text` says what it runs on, or what is wrong and what to do."""

    ok: bool
    text: str


class Backend(Engine, Protocol):
    """An engine that can say how it is."""

    def health(self) -> Health:
        """Look without computing."""


Factory = Callable[[RuntimeConfig], Backend]


def names() -> tuple[str, ...]:
    """Every back end there is: the package's own and those of installed packages."""
    return tuple(sorted({*_OWN, *(entry.name for entry in metadata.entry_points(group=GROUP))}))


def load_backend(name: str, runtime: RuntimeConfig) -> Backend:
    """Load a back end by name.

    Raises:
        ConfigError: no such back end, or its settings are bad.
        WeightsError: it cannot be loaded; the message says why.
    """
    if name in _OWN:
        module, _, function = _OWN[name].partition(":")
        return cast(Backend, getattr(importlib.import_module(module), function)(runtime))
    found = next(iter(metadata.entry_points(group=GROUP, name=name)), None)
    if found is None:
        raise ConfigError(f"No back end {name!r}; there are: {', '.join(names())}. Others are installed with pip")
    try:
        return cast(Backend, found.load()(runtime))
    except VisionLLMError:
        raise
    except Exception as error:
        raise WeightsError(
            f"Back end {name!r} ({found.value}) does not load: {type(error).__name__}: {error}"
        ) from error


class MixedEngine:
    """Fulfils `interfaces.Engine`: each task goes to the engine or back end chosen for it."""

    def __init__(self, engine: Engine, backends: dict[Task, Backend]) -> None:
        self._own, self._backends = engine, backends
        self._others = tuple({id(backend): backend for backend in backends.values()}.values())
        self._all: tuple[Engine, ...] = (engine, *self._others)

    @property
    def router(self) -> SentenceRouter | None:
        """What reads sentences that the grammar does not know."""
        return getattr(self._own, "router", None)

    @property
    def name(self) -> str:
        return "+".join(each.name for each in self._all)

    @property
    def weights_hash(self) -> str:
        return joint_hash(each.weights_hash for each in self._all)

    @property
    def device(self) -> str:
        return self._own.device

    @property
    def dtype(self) -> str:
        return self._own.dtype

    @property
    def tasks(self) -> frozenset[Task]:
        return self._own.tasks | frozenset(self._backends)

    def warm_up(self) -> None:
        """Warm everything up once.

        Raises:
            WeightsError: a back end is not healthy afterwards.
        """
        for each in self._all:
            each.warm_up()
        for backend in self._others:
            if not (health := backend.health()).ok:
                raise WeightsError(f"Back end {backend.name!r} cannot serve: {health.text}")

    def perceive(self, frame: Frame, specs: tuple[TaskSpec, ...]) -> tuple[Perception, ...]:
        """See `interfaces.Engine.perceive`; each engine is asked once for all that are its own."""
        answers: dict[int, Perception] = {}
        for engine in self._all:
            mine = [i for i, spec in enumerate(specs) if self._owner(spec.task) is engine and not spec.restore_first]
            if mine:
                given = engine.perceive(frame, tuple(specs[i] for i in mine))
                answers |= dict(zip(mine, given, strict=True))
        for i, spec in enumerate(specs):
            if i not in answers:  # restored by one, answered by another
                answers[i] = on_restored(self._one, frame, spec)
        return tuple(answers[i] for i in range(len(specs)))

    def _owner(self, task: Task) -> Engine:
        return self._backends.get(task, self._own)

    def _one(self, frame: Frame, spec: TaskSpec) -> Perception:
        return self._owner(spec.task).perceive(frame, (spec,))[0]


def with_backends(engine: Engine, runtime: RuntimeConfig) -> Engine:
    """The engine with the back ends that the setting `backends` names, e.g. ("detect=experts",).

    Raises:
        ConfigError: a bad entry, an unknown task or back end, or a task that the back end does not serve.
        WeightsError: a back end cannot be loaded.
    """
    if not runtime.backends:
        return engine
    loaded: dict[str, Backend] = {}
    chosen: dict[Task, Backend] = {}
    for entry in runtime.backends:
        word, _, name = entry.partition("=")
        if word not in set(Task) - {Task.STOP} or not name:
            raise ConfigError(f"backends: expected TASK=BACK_END such as detect=experts, got {entry!r}")
        if name not in loaded:
            loaded[name] = load_backend(name, runtime)
        if Task(word) not in loaded[name].tasks:
            served = ", ".join(sorted(loaded[name].tasks)) or "nothing"
            raise ConfigError(f"backends: {name!r} does not serve {word}; as it is set up it serves: {served}")
        chosen[Task(word)] = loaded[name]
    return MixedEngine(engine, chosen)
