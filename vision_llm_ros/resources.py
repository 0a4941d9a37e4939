"""Where the files that travel with the package lie: config/, launch/, weights/, package.xml.

Three situations, one search: a source tree (beside the package), a pip install and a colcon
install (`share/vision_llm_ros` of the prefix that holds the package).
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from vision_llm_ros.config import ModelConfig, load_model_config
from vision_llm_ros.errors import ConfigError

PACKAGE = "vision_llm_ros"
# Not resolved: `colcon build --symlink-install` links the files into the prefix one by one.
PACKAGE_DIR = Path(__file__).parent


@cache
def share_path(package_dir: Path = PACKAGE_DIR) -> Path:
    """Folder that holds package.xml, config/ and launch/.

    Raises:
        ConfigError: neither a source tree nor an installed share folder is there.
    """
    candidates = [package_dir.parent, *(parent / "share" / PACKAGE for parent in package_dir.parents)]
    for candidate in candidates:
        if (candidate / "package.xml").is_file() and (candidate / "config").is_dir():
            return candidate
    raise ConfigError(f"No share/{PACKAGE} above {package_dir}: install again with `pip install .` or `colcon build`")


def config_path(name: str) -> Path:
    """Path of a file in config/, e.g. `nano.yaml`.

    Raises:
        ConfigError: there is no such file; the message lists those there are.
    """
    folder = share_path() / "config"
    path = folder / name
    if not path.is_file():
        known = ", ".join(sorted(entry.name for entry in folder.iterdir())) or "nothing"
        raise ConfigError(f"No {name} in {folder}, which holds {known}")
    return path


def load_preset(name: str) -> ModelConfig:
    """Read a model preset by its name (config/NAME.yaml) or by the path of a YAML file.

    Raises:
        ConfigError: no such preset, or a bad value in it.
    """
    return load_model_config(Path(name) if name.endswith((".yaml", ".yml")) else config_path(f"{name}.yaml"))


def weights_path() -> Path:
    """Folder of the weights shipped with the package; it may be missing, `doctor` tells."""
    return PACKAGE_DIR / "weights"


@cache
def package_version() -> str:
    """Version in package.xml, the one place it stands."""
    found = re.search(r"<version>(.+?)</version>", (share_path() / "package.xml").read_text(encoding="utf-8"))
    if found is None:
        raise ConfigError(f"{share_path() / 'package.xml'}: expected a <version>, found none")
    return found[1]


@cache
def message_definitions() -> dict[str, str]:
    """Text of every msg/*.msg by its ROS name, e.g. `vision_llm_ros/msg/Command`; for reading and writing recordings.

    Raises:
        ConfigError: the folder msg/ is not there.
    """
    folder = share_path() / "msg"
    if not (files := sorted(folder.glob("*.msg"))):
        raise ConfigError(f"No message definitions in {folder}: install again with `pip install .` or `colcon build`")
    return {f"{PACKAGE}/msg/{path.stem}": path.read_text(encoding="utf-8") for path in files}
