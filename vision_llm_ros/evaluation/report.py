"""Reports as one HTML file that opens offline: no scripts, no fonts, nothing from outside."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.errors import RecordingError
from vision_llm_ros.runtime.pixels import encode_compressed

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --accent: #2f7de1; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1180px; margin: 0 auto; padding: 24px; }
h1 { margin: 0; font-size: 28px; }
h2 { margin: 36px 0 12px; font-size: 19px; } .sub { opacity: .7; margin: 4px 0 20px; }
.cards { display: flex; flex-wrap: wrap; gap: 12px; } .card { background: var(--soft); border: 1px solid var(--line);
border-radius: 10px; padding: 10px 16px; min-width: 108px; } .card b { display: block; font-size: 22px; }
.card span { opacity: .7; font-size: 13px; } table { border-collapse: collapse; width: 100%; font-size: 14px; }
th, td { text-align: left; padding: 6px 10px; border-bottom: 1px solid var(--line); vertical-align: top; }
td.n { text-align: right; font-variant-numeric: tabular-nums; } .grid { display: grid; gap: 14px;
grid-template-columns: repeat(auto-fill, minmax(330px, 1fr)); } figure { margin: 0; } figure img { width: 100%;
border-radius: 8px; display: block; } figcaption { font-size: 13px; opacity: .75; padding: 4px 2px; }
.plot { background: #fff; border-radius: 8px; padding: 6px; } .plot svg { width: 100%; height: auto; display: block; }
.bad { color: #d33; font-weight: 600; } .good { color: #2a8a3e; font-weight: 600; }
"""
Cell = str | int | float | bool | None


@dataclass
class Page:
    """A report under construction; every text is escaped.

    Attributes:
        title: heading and title of the page.
        subtitle: one line below it, e.g. recording, model and time.
    """

    title: str
    subtitle: str = ""
    _parts: list[str] = field(default_factory=list)

    def section(self, title: str) -> None:
        self._parts.append(f"<h2>{html.escape(title)}</h2>")

    def text(self, text: str, kind: str = "") -> None:
        """One paragraph; kind "bad" or "good" colours it."""
        self._parts.append(f'<p class="{kind}">{html.escape(text)}</p>')

    def items(self, lines: Iterable[str]) -> None:
        inner = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
        self._parts.append(f"<ul>{inner}</ul>")

    def numbers(self, values: dict[str, Cell]) -> None:
        """Key numbers as cards: name -> value."""
        cards = (
            f"<div class=card><b>{_text(value)}</b><span>{html.escape(name)}</span></div>"
            for name, value in values.items()
        )
        self._parts.append(f"<div class=cards>{''.join(cards)}</div>")

    def table(self, head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
        """Numbers are set to the right; an empty table says so."""
        body = "".join(f"<tr>{''.join(_cell(value) for value in row)}</tr>" for row in rows)
        if not body:
            self.text("none")
            return
        titles = "".join(f"<th>{html.escape(title)}</th>" for title in head)
        self._parts.append(f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>")

    def pictures(self, items: Iterable[tuple[NDArray[np.uint8], str]], width_px: int = 640) -> None:
        """Pictures uint8[H, W, 3] RGB with captions, embedded as JPEG of at most `width_px`."""
        figures = (_figure(_embedded(image, width_px), caption) for image, caption in items)
        self._parts.append(f"<div class=grid>{''.join(figures)}</div>")

    def plot(self, svg: str) -> None:
        """An SVG element from `plots`; trusted, not escaped."""
        self._parts.append(f"<div class=plot>{svg}</div>")

    def render(self) -> str:
        title = html.escape(self.title)
        head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
        top = f"<h1>{title}</h1><p class=sub>{html.escape(self.subtitle)}</p>"
        body = "\n".join((top, *self._parts))
        return f"<!doctype html>\n<html lang=en><head>{head}<style>{STYLE}</style></head>\n<body>{body}</body></html>\n"

    def write(self, path: Path) -> None:
        """Write the page.

        Raises:
            RecordingError: no right to write there.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.render(), encoding="utf-8")
        except OSError as error:
            raise RecordingError(f"Cannot write report {path}: {error.strerror}") from error


def percentiles(values: Sequence[float]) -> dict[str, float | None]:
    """p50, p95 and p99 of milliseconds, rounded to microseconds; None without values."""
    if not values:
        return {"p50": None, "p95": None, "p99": None}
    return {f"p{rank}": round(float(np.percentile(values, rank)), 3) for rank in (50, 95, 99)}


def _text(value: Cell) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
    return html.escape(str(value))


def _figure(source: str, caption: str) -> str:
    text = html.escape(caption)
    return f'<figure><img alt="{text}" src="{source}"><figcaption>{text}</figcaption></figure>'


def _cell(value: Cell) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"<td{' class=n' if number else ''}>{_text(value)}</td>"


def _embedded(image: NDArray[np.uint8], width_px: int) -> str:
    if image.shape[1] > width_px:
        size = (width_px, max(1, round(image.shape[0] * width_px / image.shape[1])))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return "data:image/jpeg;base64," + base64.b64encode(encode_compressed(image, "jpeg", 85)).decode("ascii")
