"""Check an installed copy from outside: `python check_install.py PREFIX`. Prints what it found."""

from __future__ import annotations

import sys
from pathlib import Path


def loaded_from() -> set[str]:
    """Folders of the shared libraries of this package that this process has mapped."""
    lines = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    return {str(Path(line.split()[-1]).parent) for line in lines if "vision_llm_ros" in Path(line.split()[-1]).name}


def main(prefix: Path) -> None:
    from rclpy.serialization import deserialize_message, serialize_message

    from vision_llm_ros import __version__, msg, resources
    from vision_llm_ros.action import Perceive
    from vision_llm_ros.srv import Ask

    sent = msg.Detections(classes=["person"], detections=[msg.Detection(label="person", score=0.5)])
    assert deserialize_message(serialize_message(sent), msg.Detections) == sent
    serialize_message(Ask.Request(text="find every person"))
    serialize_message(Perceive.Goal(command=msg.Command(text="stop")))
    foreign = {folder for folder in loaded_from() if not folder.startswith(str(prefix))}
    assert not foreign, f"libraries of another copy are loaded: {foreign}"
    assert Path(resources.__file__).is_relative_to(prefix), resources.__file__
    share = prefix / "share" / "vision_llm_ros"
    assert resources.share_path() == share, resources.share_path()
    for path in ("config/fastdds.xml", "launch/perception.launch.py", "package.xml"):
        assert (share / path).is_file(), share / path
    for name in ("perception", "player", "recorder", "vision-llm"):
        script = prefix / "lib" / "vision_llm_ros" / name
        assert script.stat().st_mode & 0o111, f"{script} is not executable"
    print(f"{prefix}: version {__version__}, messages, launch, config and executables are there")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
