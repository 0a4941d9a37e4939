"""`vision-llm weights list|verify [FOLDER]`: what is in a folder of trained weights, and is it whole."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vision_llm_ros.errors import WeightsError
from vision_llm_ros.resources import weights_path

if TYPE_CHECKING:
    from rich.table import Table

    from vision_llm_ros.model.weights import Manifest

HELP = "list trained weights, or check them against their checksums"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("list", "verify"), help="list shows files and notes; verify reads them all")
    parser.add_argument(
        "folder", type=Path, nargs="?", metavar="FOLDER", help="default: all that ship with the package"
    )
    parser.add_argument("--json", action="store_true", help="print as JSON")


def run(args: argparse.Namespace) -> int:
    folders = find_folders(args.folder)
    return _verify(folders, args.json) if args.action == "verify" else _list(folders, args.json)


def find_folders(folder: Path | None) -> list[Path]:
    """The weights folders meant, every system's: the one given and those inside it, or those shipped.

    Raises:
        WeightsError: there is none.
    """
    from vision_llm_ros.model.weights import MANIFEST

    where = folder or weights_path()
    found = sorted(path.parent for path in where.rglob(MANIFEST))
    if not found:
        raise WeightsError(f"No weights in {where}: neither it nor a folder in it has a {MANIFEST}")
    return found


def describe(folder: Path) -> dict[str, Any]:
    """The manifest of a folder with the size of every file, None where it is missing.

    Raises:
        WeightsError: the manifest is damaged.
    """
    from vision_llm_ros.model.weights import read_any_manifest

    manifest = read_any_manifest(folder)
    return {
        "folder": str(folder),
        "model": getattr(manifest.config, "name", folder.name),
        "weights_hash": manifest.short_hash,
        "trained": list(manifest.trained),
        "files": dict(_files(folder, manifest)),
        "notes": manifest.notes,
    }


def _files(folder: Path, manifest: Manifest[Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, digest in sorted(manifest.files.items()):
        path = folder / name
        yield name, {"bytes": path.stat().st_size if path.is_file() else None, "sha256": digest}


def _list(folders: list[Path], as_json: bool) -> int:
    described, faults = [], []
    for folder in folders:
        try:
            described.append(describe(folder))
        except WeightsError as error:
            faults.append(str(error))
    if as_json:
        print(json.dumps(described, indent=2))
    else:
        _show(described)
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


def _show(described: list[dict[str, Any]]) -> None:
    from rich.console import Console

    console = Console()
    for values in described:
        console.print(f"{values['model']} {values['weights_hash']}  {values['folder']}", markup=False, highlight=False)
        console.print(_table(values))
        console.print(f"trained tasks: {', '.join(values['trained']) or 'none'}", markup=False, highlight=False)
        for key, note in values["notes"].items():
            text = note if isinstance(note, str) else json.dumps(note)
            console.print(f"{key}: {text}", markup=False, highlight=False)


def _table(values: dict[str, Any]) -> Table:
    from rich.table import Column, Table

    table = Table("file", "size", Column("SHA-256", overflow="fold"))
    table.columns[1].justify = "right"
    for name, entry in values["files"].items():
        size = "missing" if entry["bytes"] is None else f"{entry['bytes'] / 1e6:.1f} MB"
        table.add_row(name, size, entry["sha256"])
    total = sum(entry["bytes"] or 0 for entry in values["files"].values())
    table.add_row("total", f"{total / 1e6:.1f} MB", "")
    return table


def _verify(folders: list[Path], as_json: bool) -> int:
    from vision_llm_ros.model.weights import verify

    faults = {str(folder): verify(folder) for folder in folders}
    if as_json:
        print(json.dumps(faults, indent=2))
    else:
        for folder, found in faults.items():
            print(f"{folder}: {'whole' if not found else f'{len(found)} faults'}")
            for fault in found:
                print(f"  {fault}", file=sys.stderr)
    return 1 if any(faults.values()) else 0
