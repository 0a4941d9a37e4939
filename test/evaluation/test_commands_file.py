from __future__ import annotations

from pathlib import Path

import pytest

from vision_llm_ros.errors import ConfigError
from vision_llm_ros.evaluation.commands_file import read_commands
from vision_llm_ros.interfaces import Mode


def _file(tmp_path: Path, text: str) -> Path:
    (tmp_path / "c.yaml").write_text(text, encoding="utf-8")
    return tmp_path / "c.yaml"


def test_entries_come_in_order_of_time_with_their_lines(tmp_path: Path) -> None:
    text = "- {at_s: 5, text: stop}\n- at_s: 1.5\n  text: watch for people\n  rate_hz: 2\n  region: [0, 0, 0.5, 1]\n"
    commands, faults = read_commands(_file(tmp_path, text))
    assert [(entry.at_s, entry.line, entry.command.text) for entry in commands] == [
        (1.5, 2, "watch for people"),
        (5.0, 1, "stop"),
    ]
    assert commands[0].command.rate_hz == 2 and commands[0].command.region == (0.0, 0.0, 0.5, 1.0)
    assert faults == []


def test_mode_is_read_and_stop_needs_no_text(tmp_path: Path) -> None:
    commands, _ = read_commands(_file(tmp_path, "- {mode: stop, id: c1}\n"))
    assert commands[0].command.mode is Mode.STOP


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("{at_s: 1, txt: find dogs}", "unknown key 'txt'; did you mean 'text'"),
        ("{at_s: soon, text: find dogs}", "at_s expects int or float, got 'soon'"),
        ("{at_s: -1, text: find dogs}", "got -1"),
        ("{at_s: 1}", "needs a text"),
        ("{text: find dogs, mode: always}", "got 'always'"),
        ("{text: find dogs, region: [0, 1]}", "region expects"),
        ("{text: find dogs, rate_hz: true}", "got True"),
        ("find dogs", "expected {at_s"),
    ],
)
def test_typo_is_named_with_its_line_and_the_rest_is_kept(tmp_path: Path, entry: str, expected: str) -> None:
    commands, faults = read_commands(_file(tmp_path, f"- {{at_s: 0, text: find cats}}\n\n- {entry}\n"))
    assert [item.command.text for item in commands] == ["find cats"]
    assert len(faults) == 1 and "line 3" in faults[0] and expected in faults[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "expected a list"),
        ("at_s: 1\ntext: find dogs\n", "expected a list"),
        ("- {at_s: 1, text: [}\n", "line 1 is not YAML"),
        ("- {at_s: 1}\n", "no command that can be used"),
        ("[]", "no command"),
    ],
)
def test_file_without_any_command_raises(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        read_commands(_file(tmp_path, text))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.yaml"):
        read_commands(tmp_path / "nothing.yaml")


def test_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes(b"- {text: \xff\xfe}")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_commands(tmp_path / "c.yaml")
