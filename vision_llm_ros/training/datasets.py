"""COCO-style inputs: instances, captions, referring expressions. Pictures are found as DIR/file_name."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vision_llm_ros.errors import ConfigError, InputError
from vision_llm_ros.interfaces import Box

PASCAL20 = (
    "airplane bicycle bird boat bottle bus car cat chair cow dining-table dog horse motorcycle person potted-plant "
    "sheep couch train tv"
)
CLASS_SETS = {"pascal20": tuple(name.replace("-", " ") for name in PASCAL20.split())}
KEPT_NOTES = 20


@dataclass(frozen=True)
class Picture:
    """One image record; the size is what the annotations speak of, pixels."""

    image_id: int
    path: Path
    width: int
    height: int
    masks_complete: bool = False


@dataclass(frozen=True)
class Instance:
    """One annotated object. `segmentation` as in COCO: polygons, RLE, or empty where there is no mask."""

    annotation_id: int
    image_id: int
    category_id: int
    box_xyxy_px: Box
    area_px: float
    crowd: bool
    segmentation: Any


@dataclass(frozen=True)
class InstanceSet:
    """Pictures with their objects; `categories` maps category ids to names, in the order of the file."""

    pictures: tuple[Picture, ...]
    instances: tuple[Instance, ...]
    categories: dict[int, str]
    notes: tuple[str, ...] = ()

    def of_pictures(self, image_ids: Iterable[int]) -> tuple[Instance, ...]:
        wanted = set(image_ids)
        return tuple(item for item in self.instances if item.image_id in wanted)


@dataclass(frozen=True)
class CaptionSet:
    """Pictures with their human captions, by image id."""

    pictures: tuple[Picture, ...]
    captions: dict[int, tuple[str, ...]]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Expression:
    """A referring sentence; no targets means that nothing in the picture is meant."""

    expression_id: int
    image_id: int
    sentence: str
    annotation_ids: tuple[int, ...]
    kind: str = ""

    @property
    def phrase(self) -> str:
        """The sentence as the command parser hands a phrase on: without article."""
        return self.sentence.removeprefix("the ").removesuffix(" in the image")


@dataclass
class Notes:
    """What was left out and why: the first few in words, all of them counted."""

    kept: list[str] = field(default_factory=list)
    left_out: int = 0

    def add(self, text: str) -> None:
        if len(self.kept) < KEPT_NOTES:
            self.kept.append(text)
        else:
            self.left_out += 1

    def lines(self) -> tuple[str, ...]:
        return (*self.kept, f"and {self.left_out} more") if self.left_out else tuple(self.kept)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        InputError: missing, not UTF-8 JSON (line and column are named), or not an object.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: bad byte at offset {error.start}") from error
    except json.JSONDecodeError as error:
        raise InputError(f"{path} line {error.lineno} column {error.colno} is not JSON: {error.msg}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected a JSON object, got {type(values).__name__}")
    return values


def load_instances(path: Path, images: Path) -> InstanceSet:
    """Read a COCO instances file.

    Annotations for images that the file does not list, or with a bad box, are left out and named in `notes`.

    Raises:
        InputError: the file, a list or a field of an image or category is missing or of the wrong kind.
    """
    values = read_json(path)
    pictures = _pictures(values, path, images)
    categories = {
        _value(item, "id", int, path, f"categories[{index}]"): str(
            _value(item, "name", str, path, f"categories[{index}]")
        )
        for index, item in enumerate(_records(values, "categories", path))
    }
    if not categories:
        raise InputError(f"{path}: no categories")
    notes = Notes()
    known = {picture.image_id for picture in pictures}
    instances = tuple(
        instance
        for index, item in enumerate(_records(values, "annotations", path))
        if (instance := _instance(item, index, known, categories, path, notes)) is not None
    )
    return InstanceSet(_mark_complete_masks(pictures, instances, values), instances, categories, notes.lines())


def load_captions(path: Path, images: Path) -> CaptionSet:
    """Read a COCO captions file; pictures without a caption are left out and named.

    Raises:
        InputError: as `load_instances`, or no picture has a caption.
    """
    values = read_json(path)
    notes = Notes()
    listed = _pictures(values, path, images)
    captions: dict[int, list[str]] = {picture.image_id: [] for picture in listed}
    for index, item in enumerate(_records(values, "annotations", path)):
        where = f"annotations[{index}]"
        image_id = _value(item, "image_id", int, path, where)
        text = str(_value(item, "caption", str, path, where)).strip()
        if image_id not in captions:
            notes.add(f"{path} {where}: image {image_id} is not among the images")
        elif not text:
            notes.add(f"{path} {where}: empty caption")
        else:
            captions[image_id].append(text)
    for picture in listed:
        if not captions[picture.image_id]:
            notes.add(f"{path}: image {picture.image_id} has no caption")
    pictures = tuple(picture for picture in listed if captions[picture.image_id])
    if not pictures:
        raise InputError(f"{path}: no picture has a caption")
    return CaptionSet(pictures, {key: tuple(value) for key, value in captions.items() if value}, notes.lines())


def load_expressions(path: Path, dataset: InstanceSet) -> tuple[tuple[Expression, ...], tuple[str, ...]]:
    """Read referring JSON whose annotation ids point into `dataset`.

    Returns:
        The expressions and notes about those left out (image or annotation not in the data set).
    Raises:
        InputError: a field is missing or of the wrong kind, or no expression is left.
    """
    images = {picture.image_id for picture in dataset.pictures}
    homes = {item.annotation_id: item.image_id for item in dataset.instances}
    notes, kept = Notes(), []
    for index, item in enumerate(_records(read_json(path), "expressions", path)):
        where = f"expressions[{index}]"
        image_id = _value(item, "image_id", int, path, where)
        targets = tuple(_value(item, "annotation_ids", list, path, where))
        stray = [target for target in targets if homes.get(target) != image_id]
        if image_id not in images:
            notes.add(f"{path} {where}: image {image_id} is not among the images")
        elif stray:
            notes.add(f"{path} {where}: annotation {stray[0]} does not belong to image {image_id}")
        else:
            sentence = str(_value(item, "sentence", str, path, where))
            kept.append(Expression(int(item.get("id", index)), image_id, sentence, targets, str(item.get("kind", ""))))
    if not kept:
        raise InputError(f"{path}: no expression speaks of the images given; {'; '.join(notes.lines()[:3])}")
    return tuple(kept), notes.lines()


def choose_classes(dataset: InstanceSet, wanted: str) -> dict[int, str]:
    """Pick categories by a comma-separated list of names or a set such as "pascal20"; "" takes all.

    Raises:
        ConfigError: a name is not a category of the data set; the nearest is named.
    """
    ids = {name: category_id for category_id, name in dataset.categories.items()}
    names = [part.strip() for part in wanted.split(",") if part.strip()]
    chosen: dict[int, str] = {}
    for name in (member for entry in names for member in CLASS_SETS.get(entry, (entry,))):
        if name not in ids:
            close = difflib.get_close_matches(name, [*ids, *CLASS_SETS], n=1)
            hint = f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(sorted(ids)[:20])}"
            raise ConfigError(f"--classes: the annotations have no class {name!r}{hint}")
        chosen[ids[name]] = name
    return chosen or dict(dataset.categories)


def narrow(dataset: InstanceSet, classes: str, limit: int, seed: int) -> InstanceSet:
    """Objects of some classes, and at most `limit` (0: all) of the pictures that show one.

    Raises:
        ConfigError: see `choose_classes`.
    """
    categories = choose_classes(dataset, classes)
    shown = {item.image_id for item in dataset.instances if item.category_id in categories}
    pictures = choose_some([picture for picture in dataset.pictures if picture.image_id in shown], limit, seed)
    instances = dataset.of_pictures(picture.image_id for picture in pictures)
    return InstanceSet(tuple(pictures), tuple(i for i in instances if i.category_id in categories), categories)


def choose_some(items: Sequence[Any], limit: int, seed: int) -> list[Any]:
    """At most `limit` items (0: all), drawn with the seed, in their own order."""
    if limit < 0:
        raise ConfigError(f"--limit: expected 0 (all) or more, got {limit}")
    if not 0 < limit < len(items):
        return list(items)
    chosen = np.random.default_rng(seed).choice(len(items), limit, replace=False)
    return [items[index] for index in sorted(chosen)]


def _records(values: dict[str, Any], key: str, path: Path) -> list[Any]:
    if key not in values:
        raise InputError(f"{path}: no {key!r}; it has {', '.join(map(repr, sorted(values))) or 'nothing'}")
    records = values[key]
    if not isinstance(records, list):
        raise InputError(f"{path}: {key!r}: expected a list, got {type(records).__name__}")
    return records


def _value(item: Any, key: str, kind: type, path: Path, where: str) -> Any:
    if not isinstance(item, dict):
        raise InputError(f"{path} {where}: expected an object, got {type(item).__name__}")
    if key not in item:
        raise InputError(f"{path} {where} (id {item.get('id', 'none')}): no {key!r}")
    if not isinstance(item[key], kind) or isinstance(item[key], bool):
        raise InputError(f"{path} {where}: {key!r}: expected {kind.__name__}, got {item[key]!r}")
    return item[key]


def _pictures(values: dict[str, Any], path: Path, images: Path) -> tuple[Picture, ...]:
    if not images.is_dir():
        raise InputError(f"--images {images} is not a folder; pictures are looked for there as DIR/file_name")
    pictures = []
    for index, item in enumerate(_records(values, "images", path)):
        where = f"images[{index}]"
        image_id = _value(item, "id", int, path, where)
        name = _value(item, "file_name", str, path, where)
        complete = item.get("annotation_level") == "masks"
        pictures.append(
            Picture(image_id, images / name, int(item.get("width", 0)), int(item.get("height", 0)), complete)
        )
    ids = [picture.image_id for picture in pictures]
    if len(set(ids)) != len(ids):
        raise InputError(f"{path}: image id {max(ids, key=ids.count)} stands twice")
    if not pictures:
        raise InputError(f"{path}: no images")
    return tuple(pictures)


def _instance(
    item: Any, index: int, images: set[int], categories: dict[int, str], path: Path, notes: Notes
) -> Instance | None:
    where = f"annotations[{index}]"
    annotation_id = _value(item, "id", int, path, where)
    image_id = _value(item, "image_id", int, path, where)
    category_id = _value(item, "category_id", int, path, where)
    box = _value(item, "bbox", list, path, where)
    named = f"{path} {where} (id {annotation_id})"
    if image_id not in images:
        notes.add(f"{named}: image {image_id} is not among the images")
    elif category_id not in categories:
        notes.add(f"{named}: category {category_id} is not among the categories")
    elif not _good_box(box):
        notes.add(f"{named}: expected a box [x, y, width, height] with width and height above 0, got {box}")
    else:
        x, y, width, height = (float(value) for value in box)
        area = float(item.get("area") or width * height)
        crowd, segmentation = bool(item.get("iscrowd", 0)), item.get("segmentation") or []
        corners = (x, y, x + width, y + height)
        return Instance(annotation_id, image_id, category_id, corners, area, crowd, segmentation)
    return None


def _good_box(box: list[Any]) -> bool:
    return (
        len(box) == 4
        and all(isinstance(value, (int, float)) and np.isfinite(value) for value in box)
        and min(box[2], box[3]) > 0
    )


def _mark_complete_masks(
    pictures: tuple[Picture, ...], instances: tuple[Instance, ...], values: dict[str, Any]
) -> tuple[Picture, ...]:
    """Where the file does not state an annotation level, masks are complete when no object lacks one."""
    if any("annotation_level" in item for item in values["images"]):
        return pictures
    lacking = {item.image_id for item in instances if not item.crowd and not item.segmentation}
    return tuple(
        Picture(item.image_id, item.path, item.width, item.height, item.image_id not in lacking) for item in pictures
    )
