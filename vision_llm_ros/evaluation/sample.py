"""The sample recording: free photographs out of installed packages, filmed by a moving virtual camera.

Made on first use and kept in the user's cache; the same versions of the packages give the same recording.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_llm_ros.errors import RecordingError
from vision_llm_ros.evaluation.bag_writer import BagWriter
from vision_llm_ros.runtime.pictures import read_picture
from vision_llm_ros.runtime.pixels import encode_compressed

WIDTH_PX, HEIGHT_PX, RATE_HZ = 640, 480, 10
TOPIC = "/image/compressed"
START_NS = 1_700_000_000_000_000_000
NOISE_SIGMA = 28.0
VERSION = 1
View = tuple[float, float, float]


@dataclass(frozen=True)
class Scene:
    """A photograph and the camera's way over it.

    Attributes:
        package, file: where the photograph lies.
        credit: title, author and licence, for the report.
        begin, end: views (centre x, centre y, zoom): fractions 0..1 of the photograph, zoom 1 shows as much
            as fits into the frame's shape.
        noisy: the sensor is noisy in this scene.
    """

    package: str
    file: str
    credit: str
    begin: View
    end: View
    noisy: bool = False


SCENES = (
    Scene(
        "matplotlib",
        "mpl-data/sample_data/grace_hopper.jpg",
        "Commodore Grace M. Hopper, James S. Davis, United States Navy, public domain",
        (0.5, 0.2, 1.0),
        (0.5, 0.4, 1.1),
    ),
    Scene(
        "skimage",
        "data/motorcycle_left.png",
        "Motorcycle, Middlebury 2014 stereo data: D. Scharstein, N. Nesic, P. Westling, X. Wang, Y. Kitajima, "
        "G. Krathwohl, distributed with scikit-image",
        (0.3, 0.5, 1.05),
        (0.7, 0.5, 1.0),
    ),
    Scene(
        "skimage",
        "data/chelsea.png",
        "Chelsea the cat, Stefan van der Walt, CC0",
        (0.5, 0.5, 1.0),
        (0.4, 0.45, 1.25),
    ),
    Scene(
        "skimage", "data/coffee.png", "Coffee cup, Rachel Michetti for Pikolo, CC0", (0.55, 0.5, 1.3), (0.45, 0.5, 1.0)
    ),
    Scene(
        "skimage",
        "data/astronaut.png",
        "Astronaut Eileen Collins, NASA Great Images, public domain",
        (0.5, 0.3, 1.15),
        (0.5, 0.45, 1.0),
        noisy=True,
    ),
    Scene(
        "sklearn",
        "datasets/images/china.jpg",
        "Summer Palace, flickr.com/photos/danielbuechele, CC BY 2.0",
        (0.2, 0.5, 1.1),
        (0.8, 0.5, 1.1),
    ),
    Scene(
        "sklearn",
        "datasets/images/flower.jpg",
        "Dahlia, flickr.com/photos/vultilion, CC BY 2.0",
        (0.45, 0.45, 1.0),
        (0.5, 0.5, 1.4),
    ),
    Scene(
        "skimage",
        "data/rocket.jpg",
        "Launch of DSCOVR on Falcon 9, SpaceX Photos, public domain",
        (0.4, 0.5, 1.0),
        (0.55, 0.6, 1.2),
    ),
)


def sample_recording(seconds: float = 20.0, folder: Path | None = None) -> Path:
    """The sample recording (rosbag2 mcap, JPEG CompressedImage on `/image/compressed`), made when missing.

    Args:
        seconds: its length; the scenes share it evenly.
        folder: where to keep it; None is `vision_llm_ros` in the user's cache folder.
    Raises:
        RecordingError: no photograph is installed, or the folder cannot be written.
    """
    scenes = available_scenes()
    folder = folder or cache_folder()
    recipe = json.dumps([VERSION, seconds, WIDTH_PX, HEIGHT_PX, RATE_HZ, [asdict(scene) for scene in scenes]])
    target = folder / f"sample-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    if (target / "metadata.yaml").exists():
        return target
    # Written aside and renamed, so that an interrupted run or a second process never leaves half a recording.
    draft = folder / f".{target.name}-{os.getpid()}"
    shutil.rmtree(draft, ignore_errors=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with BagWriter(draft / target.name) as writer:
            for stamp_ns, image in filmed(scenes, seconds):
                writer.write_jpeg(TOPIC, stamp_ns, encode_compressed(image))
        if not target.exists():
            (draft / target.name).rename(target)
    except OSError as error:
        raise RecordingError(f"Cannot write the sample recording to {folder}: {error.strerror}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def attribution() -> list[str]:
    """Title, author and licence of every photograph in the recording."""
    return [scene.credit for scene in available_scenes()]


def cache_folder() -> Path:
    """`vision_llm_ros` below $XDG_CACHE_HOME or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vision_llm_ros"


def available_scenes() -> tuple[Scene, ...]:
    """Scenes whose photograph is installed.

    Raises:
        RecordingError: there is none.
    """
    scenes = tuple(scene for scene in SCENES if find_photograph(scene.package, scene.file))
    if not scenes:
        wanted = ", ".join(sorted({scene.package for scene in SCENES}))
        raise RecordingError(f"No sample photographs: none of {wanted} is installed; pip install scikit-image")
    return scenes


def filmed(scenes: tuple[Scene, ...], seconds: float) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """The frames of the virtual camera.

    Yields:
        stamp in nanoseconds, uint8[480, 640, 3] RGB.
    """
    number_of_frames = max(1, round(seconds * RATE_HZ))
    loaded, photograph = -1, np.zeros((1, 1, 3), np.uint8)
    for number in range(number_of_frames):
        place, progress = divmod(number * len(scenes) / number_of_frames, 1.0)
        scene = scenes[int(place)]
        if loaded != place:
            path = find_photograph(scene.package, scene.file)
            assert path is not None
            loaded, photograph = int(place), read_picture(path)
        image = _view(photograph, scene, progress)
        yield START_NS + number * 1_000_000_000 // RATE_HZ, _noisy(image, number) if scene.noisy else image


def find_photograph(package: str, file: str) -> Path | None:
    """A file of an installed package, found without importing the package, which may take seconds."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / file
    return path if path.is_file() else None


def _view(photograph: NDArray[np.uint8], scene: Scene, progress: float) -> NDArray[np.uint8]:
    """Move smoothly from the first view to the last with a slight shake, never beyond the photograph's edge."""
    eased = progress * progress * (3 - 2 * progress)
    x, y, zoom = (first + (last - first) * eased for first, last in zip(scene.begin, scene.end, strict=True))
    height, width = photograph.shape[:2]
    shown = min(width / WIDTH_PX, height / HEIGHT_PX) / zoom
    half_x, half_y = WIDTH_PX * shown / 2, HEIGHT_PX * shown / 2
    centre_x = np.clip(x * width + 1.5 * np.sin(21 * progress), half_x, width - half_x)
    centre_y = np.clip(y * height + 1.5 * np.cos(17 * progress), half_y, height - half_y)
    to_photograph = np.array([[shown, 0, centre_x - half_x], [0, shown, centre_y - half_y]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(
        photograph, to_photograph, (WIDTH_PX, HEIGHT_PX), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(warped, dtype=np.uint8)


def _noisy(image: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).normal(0.0, NOISE_SIGMA, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)
