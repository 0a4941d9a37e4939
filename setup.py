"""The build for pip. colcon reads package.xml and CMakeLists.txt alone.

The messages come from the same CMakeLists.txt in both builds: CMake installs into a scratch
prefix; its Python half joins this wheel's package, the rest (lib/, share/, include/) becomes
the wheel's data, which pip unpacks into the environment's prefix as the ros-* wheels do.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
NAME = "vision_llm_ros"
SITE = os.path.relpath(sysconfig.get_path("platlib"), sys.prefix)


def version() -> str:
    found = re.search(r"<version>(.+?)</version>", (ROOT / "package.xml").read_text(encoding="utf-8"))
    if found is None:
        sys.exit("package.xml: expected a <version>, found none")
    return found[1]


def requirements(name: str) -> list[str]:
    lines = (ROOT / "requirements" / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


class BuildInterfaces(build_ext):
    """Generate and compile msg/, srv/ and action/ with CMake, in place of an extension."""

    def run(self) -> None:
        if self.inplace or self.editable_mode:
            sys.exit(
                "An editable install cannot place the shared libraries of the messages. Use `pip install .` once and "
                "run from the source tree (CONTRIBUTING.md), or `colcon build --symlink-install`."
            )
        build = Path(self.build_temp).resolve() / "interfaces"
        self.forget_other_environment(build)
        shutil.rmtree(build / "prefix", ignore_errors=True)
        self.build_with_cmake(build)
        self.add_to_wheel(build / "prefix")

    def forget_other_environment(self, build: Path) -> None:
        """Start afresh unless this interpreter with these ROS wheels made the build: CMake's cache names both."""
        wheels = sorted(
            f"{wheel.name} {wheel.version}" for wheel in metadata.distributions() if wheel.name.startswith("ros-")
        )
        environment = "\n".join([sys.executable, *sys.path, *wheels])
        note = build / "environment.txt"
        if not note.is_file() or note.read_text(encoding="utf-8") != environment:
            shutil.rmtree(build, ignore_errors=True)
            build.mkdir(parents=True)
            note.write_text(environment, encoding="utf-8")

    def build_with_cmake(self, build: Path) -> None:
        # PATH leads find_package() to the prefix of pip's environment, isolated or not. The
        # generators are Python programs and need the modules this interpreter can import.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        environment = os.environ | {"PATH": path, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        options = {
            "CMAKE_INSTALL_PREFIX": build / "prefix",
            "CMAKE_BUILD_TYPE": "Release",
            "BUILD_TESTING": "OFF",
            "Python3_EXECUTABLE": sys.executable,
            "PYTHON_INSTALL_DIR": SITE,
            # Libraries find each other from PREFIX/lib and from PREFIX/lib/pythonX.Y/site-packages/PACKAGE.
            "CMAKE_INSTALL_RPATH": "$ORIGIN;$ORIGIN/../../..",
        }
        configure = [
            "cmake",
            "-S",
            str(ROOT),
            "-B",
            str(build),
            *(f"-D{key}={value}" for key, value in options.items()),
        ]
        subprocess.run(configure, check=True, env=environment)
        jobs = str(self.parallel or os.cpu_count() or 1)
        compile_ = ["cmake", "--build", str(build), "--target", "install", "--parallel", jobs]
        subprocess.run(compile_, check=True, env=environment)

    def add_to_wheel(self, prefix: Path) -> None:
        python_half = prefix / SITE / NAME
        for path in filter(Path.is_file, python_half.rglob("*")):
            relative = path.relative_to(python_half)
            if path.suffix not in {".c", ".pyc"} and not (ROOT / NAME / relative).exists():
                target = Path(self.build_lib, NAME, relative)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, target)
        data: dict[str, list[str]] = {}
        for path in sorted(filter(Path.is_file, prefix.rglob("*"))):
            if prefix / SITE not in path.parents:
                data.setdefault(str(path.parent.relative_to(prefix)), []).append(os.path.relpath(path, ROOT))
        self.distribution.data_files = list(data.items())

    def get_outputs(self) -> list[str]:
        return []

    def get_output_mapping(self) -> dict[str, str]:
        return {}

    def get_source_files(self) -> list[str]:
        return []


def opencv() -> str:
    """opencv-python; its headless twin where that is installed already, as the two overwrite each other."""
    installed = {distribution.name for distribution in metadata.distributions()}
    return "opencv-python-headless" if "opencv-python-headless" in installed else "opencv-python"


setup(
    name=NAME,
    version=version(),
    description="Language-driven camera perception for ROS 2",
    license="Apache-2.0",
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={NAME: ["py.typed", "language/phrasings/*.txt", "weights/**/*"]},
    ext_modules=[Extension(f"{NAME}._interfaces", [])],
    cmdclass={"build_ext": BuildInterfaces},
    entry_points={
        "console_scripts": [
            f"vision-llm = {NAME}.cli:main",
            *(f"vision_llm_{node} = {NAME}.nodes.{node}:main" for node in ("perception", "player", "recorder")),
        ]
    },
    python_requires=">=3.11",
    install_requires=[
        "numpy>=1.26",
        "pillow",
        "pyyaml",
        f"{opencv()}>=4.10",
        "torch>=2.6",
        "transformers>=4.50",
        "scipy",
        "tqdm",
        "matplotlib",
        "scikit-image",  # SSIM, and sample photographs for the demo
        *requirements("pip-only.txt"),
        *requirements("ros-jazzy.txt"),
    ],
    extras_require={
        "demo": ["scikit-learn"],  # two more sample photographs
        "train": ["tensorboard"],
        "dev": ["pytest", "pytest-cov", "hypothesis", "psutil", "ruff", "mypy", "import-linter"],
        "gpu": ["tensorrt", "onnx", "bitsandbytes"],
        "viewers": ["rerun-sdk"],
        "fleet": ["ray"],
    },
    zip_safe=False,
)
