"""Node processes of one run: started with this interpreter, logged to files, always ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType

import vision_llm_ros
from vision_llm_ros.errors import EngineError

GRACE_S = 15.0


@contextmanager
def signals_held() -> Iterator[None]:
    """SIGINT and SIGTERM that arrive inside take effect on leaving, so that no step inside is done by half.

    Handlers are swapped instead of the signal mask, which a process started inside would inherit.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        arrived.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for caught in arrived:
            signal.raise_signal(caught)


class Children:
    """A family of processes; leaving the `with` block ends those that still run.

    Args:
        logs: folder for one log file per process.
        environment: of the processes; the package of this process is put in front of their path.
    """

    def __init__(self, logs: Path, environment: dict[str, str]) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self._logs = logs
        source = str(Path(vision_llm_ros.__file__).parents[1])
        path = os.pathsep.join(part for part in (source, environment.get("PYTHONPATH", "")) if part)
        self._environment = {**environment, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Children:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in list(self._processes):
            self.stop(name)

    def start(self, name: str, module: str, *arguments: str) -> None:
        """Run `python -m module arguments` in a group of its own, so that Ctrl-C reaches this process alone."""
        with self.log(name).open("wb") as log, signals_held():
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def running(self, name: str) -> bool:
        return name in self._processes and self._processes[name].poll() is None

    def stop(self, name: str) -> int:
        """Ask by SIGINT, insist by SIGKILL after a while; returns the exit code."""
        process = self._processes.pop(name)
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                process.kill()
        return process.wait()

    def check(self, *names: str) -> None:
        """Raise `EngineError` with the end of its log if one of these processes has died."""
        for name in names:
            if not self.running(name):
                code = self._processes[name].returncode if name in self._processes else "?"
                raise EngineError(f"The {name} process ended with code {code}. {self.tail(name)}")

    def log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def tail(self, name: str, lines: int = 6) -> str:
        """The last lines of a log, and where it lies."""
        path = self.log(name)
        text = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
        return "\n".join([f"Log {path} ends:", *(f"  {line}" for line in text[-lines:])])
