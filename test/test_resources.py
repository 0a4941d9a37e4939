"""The files beside the package are found in every kind of install."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import vision_llm_ros
from vision_llm_ros import resources
from vision_llm_ros.errors import ConfigError


def install(prefix: Path, site: str) -> Path:
    share = prefix / "share" / "vision_llm_ros"
    (share / "config").mkdir(parents=True)
    (share / "package.xml").write_text("<package/>")
    package = prefix / site / "vision_llm_ros"
    package.mkdir(parents=True)
    return package


@pytest.mark.parametrize(
    "site", ["lib/python3.11/site-packages", "lib/python3/dist-packages", "local/lib/python3.12/dist-packages"]
)
def test_share_folder_of_an_install_is_found_above_the_package(tmp_path: Path, site: str) -> None:
    package = install(tmp_path / "prefix", site)
    assert resources.share_path(package) == tmp_path / "prefix" / "share" / "vision_llm_ros"


def test_a_source_tree_comes_before_an_install_around_it(tmp_path: Path) -> None:
    install(tmp_path, "site")
    source = tmp_path / "ws" / "src" / "vision_llm_ros"
    (source / "config").mkdir(parents=True)
    (source / "package.xml").write_text("<package/>")
    assert resources.share_path(source / "vision_llm_ros") == source


def test_a_missing_share_folder_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="pip install"):
        resources.share_path(tmp_path / "lib" / "vision_llm_ros")


def test_config_path_of_an_unknown_name_lists_the_known_ones() -> None:
    assert resources.config_path("fastdds.xml").is_file()
    with pytest.raises(ConfigError, match=r"nono\.yaml.*fastdds\.xml"):
        resources.config_path("nono.yaml")


def test_version_is_the_one_in_package_xml() -> None:
    text = (resources.share_path() / "package.xml").read_text(encoding="utf-8")
    assert f"<version>{vision_llm_ros.__version__}</version>" in text
    assert re.fullmatch(r"\d+\.\d+\.\d+", vision_llm_ros.__version__)


def test_an_unknown_attribute_of_the_package_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        vision_llm_ros.nonsense  # noqa: B018
