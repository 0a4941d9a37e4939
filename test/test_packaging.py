"""What the two builds read agrees with itself."""

from __future__ import annotations

import importlib.util
import re
import tomllib
import xml.etree.ElementTree as ElementTree
from distutils.core import run_setup
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DISTRIBUTION = run_setup(str(ROOT / "setup.py"), stop_after="init")


def names(requirements: list[str]) -> set[str]:
    return {canonical(re.split(r"[\s<>=!~;\[]", line)[0]) for line in requirements}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def lines(path: str) -> list[str]:
    text = (ROOT / path).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_every_requirement_is_pinned_in_the_constraints() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    extras = [
        line
        for name, wanted in DISTRIBUTION.extras_require.items()
        if name not in ("gpu", "viewers", "fleet")
        for line in wanted
    ]
    wanted = names([*DISTRIBUTION.install_requires, *extras, *build, *lines("requirements/colcon.txt")])
    assert wanted - names(lines("constraints.txt")) == set()


def test_constraints_pin_one_version_each_and_name_no_file() -> None:
    pins = lines("constraints.txt")
    assert [pin for pin in pins if not re.fullmatch(r"[\w.-]+==[\w.]+", pin)] == []
    assert len(names(pins)) == len(pins)


def test_projects_of_other_people_with_our_dependencies_names_are_not_required() -> None:
    everything = names([*DISTRIBUTION.install_requires, *lines("requirements/pip-only.txt")])
    assert everything & {"launch", "cv-bridge", "llama-cpp-python", "sentence-transformers", "vision-llm-ros"} == set()


def test_weight_carriers_are_exact_and_outside_the_ordinary_requirements() -> None:
    carriers = lines("requirements/carriers.txt")
    assert all("==" in carrier for carrier in carriers)
    assert names(carriers) & names(DISTRIBUTION.install_requires) == set()


def executables() -> list[str]:
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    match = re.search(r"foreach\(_node (.+?)\)", text)
    assert match is not None
    return match[1].split()


@pytest.mark.parametrize("node", executables())
def test_every_executable_has_a_module_with_a_main(node: str) -> None:
    spec = importlib.util.find_spec(f"vision_llm_ros.nodes.{node}")
    assert spec is not None and spec.origin is not None
    assert "\ndef main(" in Path(spec.origin).read_text(encoding="utf-8")


def test_pip_and_colcon_install_the_same_executables() -> None:
    scripts = {line.split(" = ")[0] for line in DISTRIBUTION.entry_points["console_scripts"]}
    assert scripts == {"vision-llm", *(f"vision_llm_{node}" for node in executables())}


def test_message_dependencies_stand_in_package_xml_and_cmake() -> None:
    used = set()
    for folder in ("msg", "srv", "action"):
        for path in (ROOT / folder).iterdir():
            used |= set(re.findall(r"^([a-z_]+)/\w+", path.read_text(encoding="utf-8"), re.MULTILINE))
    package = ElementTree.parse(ROOT / "package.xml").getroot()
    declared = {tag.text for tag in package if tag.tag in {"depend", "build_depend"}}
    cmake = set(re.findall(r"find_package\((\w+)", (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")))
    assert used and used <= declared and used <= cmake


def test_package_versions_agree() -> None:
    package = ElementTree.parse(ROOT / "package.xml").getroot()
    assert DISTRIBUTION.get_version() == package.findtext("version")
