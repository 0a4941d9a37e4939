"""The progress bar of a training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vision_llm_ros.training.loop import Loop


@contextmanager
def followed(
    loop: Loop[Any], title: str, shown: Iterable[str], hidden: bool, digits: int = 2
) -> Iterator[Callable[[int, dict[str, float]], None]]:
    """A bar of the loop's steps, with some parts of its loss; what it gives is told of every step.

    Args:
        loop: at the step that it goes on from.
        shown: names of the parts; those that a step has not are passed over.
    """
    from tqdm import tqdm

    names = tuple(shown)
    with tqdm(total=loop.config.steps, initial=loop.step, desc=title, unit="step", disable=hidden) as bar:

        def progress(step: int, parts: dict[str, float]) -> None:
            bar.set_postfix({key: f"{parts[key]:.{digits}f}" for key in names if key in parts}, refresh=False)
            bar.update(1)

        yield progress
