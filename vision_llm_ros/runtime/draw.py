"""Draw results on pictures: the debug image of the node, the pictures of reports and of the command line."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from vision_llm_ros.interfaces import Detection, Mask, Perception, Restored, Result, Status
from vision_llm_ros.runtime.turning import TURNS

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]

PALETTE: tuple[Colour, ...] = (
    (255, 111, 89),
    (64, 196, 255),
    (255, 202, 58),
    (138, 224, 92),
    (199, 125, 255),
    (255, 146, 215),
    (46, 214, 184),
    (255, 159, 28),
    (120, 150, 255),
    (222, 226, 230),
)
DARK: Colour = (22, 26, 33)
WHITE: Colour = (245, 247, 250)
NOTE: Colour = (160, 174, 192)
STATUS_COLOURS: dict[Status, Colour] = {
    Status.OK: (138, 224, 92),
    Status.NOTHING_FOUND: (222, 226, 230),
    Status.STALE: (255, 202, 58),
    Status.DEGRADED: (255, 202, 58),
    Status.REJECTED: (255, 159, 28),
    Status.ERROR: (255, 92, 92),
}


@dataclass(frozen=True)
class _Scale:
    """Sizes in pixels that follow the picture's size."""

    line: int
    font: int
    pad: int

    @staticmethod
    def of(picture: Picture) -> _Scale:
        side = min(picture.shape[:2])
        return _Scale(max(1, round(side / 220)), max(10, round(side / 30)), max(2, round(side / 120)))


def draw_result(image_rgb_u8: Picture, result: Result) -> Picture:
    """Draw one result with its command, status and latency.

    Args:
        image_rgb_u8: uint8[H, W, 3] RGB, the source frame; not changed.
        result: boxes and masks in the pixels of that frame.
    Returns:
        uint8[H, W, 3] RGB.
    """
    spec = result.spec
    asked = f"{spec.task}: {', '.join(spec.classes) or spec.phrase or spec.restore_kind}".rstrip(": ")
    note = f"{result.model}  {result.latency_ms:.0f} ms"
    return draw_perception(image_rgb_u8, result.perception, asked, note, spec.classes)


def draw_perception(
    image_rgb_u8: Picture, perception: Perception, command: str = "", note: str = "", labels: tuple[str, ...] = ()
) -> Picture:
    """Draw what an engine returned, without a node around it.

    Args:
        image_rgb_u8: uint8[H, W, 3] RGB, the source frame; not changed.
        command: what was asked, shown in the legend line at the bottom.
        note: shown at the right end of the legend line, e.g. model and latency.
        labels: every label that may occur, in a fixed order, so that colours stay from frame to frame.
    Returns:
        uint8[H, W, 3] RGB.
    """
    canvas = _with_restored(image_rgb_u8, perception.restored)
    scale = _Scale.of(canvas)
    items: tuple[Detection | Mask, ...] = (*perception.detections, *perception.masks)
    colours = colours_of((*labels, *(item.label for item in items)))
    for mask in reversed(perception.masks):
        _fill_mask(canvas, mask, colours[mask.label], scale)
    for detection in reversed(perception.detections):
        _outline(canvas, detection, colours[detection.label], scale)
    taken: list[tuple[int, int, int, int]] = []
    for item in items:
        _tag(canvas, item, colours[item.label], scale, taken)
    _legend(canvas, perception, command, note, scale)
    return canvas


def label_image(masks: Sequence[Mask], size_wh_px: tuple[int, int]) -> NDArray[np.uint8]:
    """All masks in one picture uint8[H, W]: 0 is nothing, i + 1 is mask i; an earlier mask lies above a later one."""
    labels: NDArray[np.uint8] = np.zeros(size_wh_px[::-1], np.uint8)
    for index, item in reversed(list(enumerate(masks[:255]))):
        labels[item.inside] = index + 1
    return labels


def colours_of(labels: Iterable[str]) -> dict[str, Colour]:
    """Give each label its own colour: chosen by its name, moved on only when taken by an earlier label."""
    colours: dict[str, Colour] = {}
    used: set[int] = set()
    for label in labels:
        if label in colours:
            continue
        place = zlib.crc32(label.encode("utf-8", "replace")) % len(PALETTE)
        while place in used and len(used) < len(PALETTE):
            place = (place + 1) % len(PALETTE)
        used.add(place)
        colours[label] = PALETTE[place]
    return colours


def _with_restored(image: Picture, restored: Restored | None) -> Picture:
    """Source left and restored right of a dividing line; the restored picture alone if its geometry differs."""
    canvas = np.array(image, dtype=np.uint8, order="C")
    if restored is None:
        return canvas
    if restored.image_rgb_u8.shape != image.shape or restored.kind in TURNS:
        return np.array(restored.image_rgb_u8, dtype=np.uint8, order="C")
    middle = image.shape[1] // 2
    canvas[:, middle:] = restored.image_rgb_u8[:, middle:]
    cv2.line(canvas, (middle, 0), (middle, image.shape[0]), WHITE, _Scale.of(image).line)
    return canvas


def _fill_mask(canvas: Picture, mask: Mask, colour: Colour, scale: _Scale) -> None:
    left, top, width, height = cv2.boundingRect(mask.inside.view(np.uint8))
    if not width:
        return
    inside = mask.inside[top : top + height, left : left + width]
    crop = canvas[top : top + height, left : left + width]
    crop[inside] = (crop[inside] * 0.5 + np.array(colour) * 0.5).astype(np.uint8)
    contours, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, contours, -1, colour, scale.line, cv2.LINE_AA, offset=(left, top))


def _outline(canvas: Picture, detection: Detection, colour: Colour, scale: _Scale) -> None:
    """Polygon if there is one, else the box; a dark rim keeps it visible on any background."""
    points = _points(detection)
    if not np.isfinite(points).all():
        return
    corners = np.clip(np.round(points), -32_000, 32_000).astype(np.int32).reshape(-1, 1, 2)
    _tint(canvas, corners, colour)
    smooth = cv2.LINE_8 if detection.polygon_xy_px is None else cv2.LINE_AA
    cv2.polylines(canvas, [corners], True, DARK, scale.line + 2, smooth)
    cv2.polylines(canvas, [corners], True, colour, scale.line, smooth)


def _points(detection: Detection) -> NDArray[np.float32]:
    if detection.polygon_xy_px is not None and len(detection.polygon_xy_px) > 2:
        return np.asarray(detection.polygon_xy_px, dtype=np.float32)
    x_min, y_min, x_max, y_max = detection.box_xyxy_px
    # The far edges belong to the last pixel, so that a box around the whole picture stays visible.
    return np.array([(x_min, y_min), (x_max - 1, y_min), (x_max - 1, y_max - 1), (x_min, y_max - 1)], dtype=np.float32)


def _tint(canvas: Picture, corners: NDArray[np.int32], colour: Colour) -> None:
    height, width = canvas.shape[:2]
    left, top, wide, high = cv2.boundingRect(corners)
    x_min, y_min = max(0, left), max(0, top)
    x_max, y_max = min(width, left + wide), min(height, top + high)
    if x_min >= x_max or y_min >= y_max:
        return
    crop = canvas[y_min:y_max, x_min:x_max]
    layer = crop.copy()
    cv2.fillPoly(layer, [corners - (x_min, y_min)], colour)
    cv2.addWeighted(layer, 0.14, crop, 0.86, 0.0, dst=crop)


def _tag(
    canvas: Picture, item: Detection | Mask, colour: Colour, scale: _Scale, taken: list[tuple[int, int, int, int]]
) -> None:
    """A filled label above the object, below it when there is no room, moved down while it would cover another."""
    if not np.isfinite(item.box_xyxy_px).all():
        return
    number = f" #{item.track_id}" if item.track_id >= 0 else ""
    text = _text_mask(f"{_short(item.label)}{number} {item.score:.2f}", scale.font)
    wide, high = text.shape[1] + 2 * scale.pad, text.shape[0] + 2 * scale.pad
    x_min, y_min = (int(value) for value in item.box_xyxy_px[:2])
    left = max(0, min(x_min, canvas.shape[1] - wide))
    top = y_min - high if y_min >= high else y_min
    top = max(0, min(top, canvas.shape[0] - high))
    for x, y, w, h in taken:
        if left < x + w and x < left + wide and top < y + h and y < top + high:
            top = y + h
    if top + high > canvas.shape[0]:
        return
    taken.append((left, top, wide, high))
    canvas[top : top + high, left : left + wide] = colour
    bright = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 128
    _paint(canvas, text, left + scale.pad, top + scale.pad, DARK if bright else WHITE)


def _legend(canvas: Picture, perception: Perception, command: str, note: str, scale: _Scale) -> None:
    """One dark strip at the bottom: the command, what came of it, the note; more lines for a long answer."""
    if not (command or note or perception.text or perception.caption or perception.status != Status.OK):
        return
    width = canvas.shape[1]
    lines = ((command, WHITE), (_outcome(perception), STATUS_COLOURS[perception.status]))
    wrapped = [(part, colour) for text, colour in lines for part in _wrap(text, scale.font, width - 4 * scale.pad)]
    step = scale.font + scale.pad * 2
    high = min(canvas.shape[0], step * len(wrapped) + scale.pad)
    top = canvas.shape[0] - high
    canvas[top:] = (canvas[top:] * 0.25 + np.array(DARK) * 0.75).astype(np.uint8)
    for number, (text, colour) in enumerate(wrapped):
        _paint(canvas, _text_mask(text, scale.font), scale.pad * 2, top + scale.pad + number * step, colour)
    mask, last = _text_mask(note, scale.font), _text_mask(wrapped[-1][0], scale.font) if wrapped else None
    if note and (last is None or mask.shape[1] + last.shape[1] + 6 * scale.pad < width):
        _paint(canvas, mask, width - mask.shape[1] - scale.pad * 2, canvas.shape[0] - step, NOTE)


def _outcome(perception: Perception) -> str:
    """The status in words; it is spoken out, so that a failure never looks like an empty scene."""
    if perception.caption is not None and perception.status == Status.OK:
        return perception.caption.text
    if perception.status == Status.OK:
        number = len(perception.detections) + len(perception.masks)
        found = f"{number} found" if perception.restored is None else f"restored: {perception.restored.kind}"
        return f"{found}  {perception.text}".strip()
    name = perception.status.name.replace("_", " ").lower()
    return f"{name}: {perception.text}" if perception.text else name


def _short(text: str, limit: int = 40) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


@lru_cache(maxsize=16)
def _font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size_px)


@lru_cache(maxsize=512)
def _text_mask(text: str, size_px: int) -> Picture:
    """Render one line as coverage uint8[h, w]; the height depends on the size alone."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    font = _font(size_px)
    wide = max(1, round(font.getlength(printable)) + 2)
    image = Image.new("L", (wide, round(size_px * 1.25)))
    ImageDraw.Draw(image).text((0, 0), printable, fill=255, font=font)
    return np.asarray(image, dtype=np.uint8)


def _wrap(text: str, size_px: int, width_px: int, most: int = 4) -> list[str]:
    """Break at spaces (or inside a word that is too long) to lines of `width_px`; the rest ends in an ellipsis."""
    if not text:
        return []
    lines, line = [], ""
    for word in _short(text, 600).split():
        longer = f"{line} {word}".strip()
        if line and _font(size_px).getlength(longer) > width_px:
            lines.append(line)
            longer = word
        while len(longer) > 1 and _font(size_px).getlength(longer) > width_px:
            cut = max(1, int(len(longer) * width_px / _font(size_px).getlength(longer)) - 1)
            lines.append(longer[:cut])
            longer = longer[cut:]
        line = longer
    lines.append(line)
    return lines if len(lines) <= most else [*lines[: most - 1], lines[most - 1] + " …"]


def _paint(canvas: Picture, mask: Picture, left: int, top: int, colour: Colour) -> None:
    """Blend `colour` by coverage; whatever lies outside of the picture is cut off."""
    height, width = canvas.shape[:2]
    x_min, y_min = max(0, left), max(0, top)
    x_max, y_max = min(width, left + mask.shape[1]), min(height, top + mask.shape[0])
    if x_min >= x_max or y_min >= y_max:
        return
    cover = mask[y_min - top : y_max - top, x_min - left : x_max - left, None].astype(np.float32) / 255
    crop = canvas[y_min:y_max, x_min:x_max]
    canvas[y_min:y_max, x_min:x_max] = (crop * (1 - cover) + np.array(colour, np.float32) * cover).astype(np.uint8)
