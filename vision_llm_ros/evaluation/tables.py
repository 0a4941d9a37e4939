"""An evaluation report as tables on the screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

CLASSES_SHOWN = 12


def show(report: Mapping[str, Any], console: Console | None = None) -> None:
    """Print the tables of a report and one line about pictures, seconds and model."""
    console = console or Console()
    for table in tables(report):
        console.print(table)
    console.print(_footer(report), markup=False, highlight=False)


def tables(report: Mapping[str, Any]) -> Iterator[Table]:
    """The tables that fit the task of a report."""
    if report["task"] == "detect":
        yield _boxes(report)
        if report["per_class"]:
            yield _classes(report)
        if report.get("leakage"):
            yield _leakage(report)
    elif report["task"] == "polygon":
        yield _numbers(report, (*_MASKS, "box_ap50", "mask_to_box", "mask_images"))
        yield _classes(report)
    elif report["task"] == "refer":
        yield from _masks(report)
    elif report["task"] == "restore":
        yield _restoration(report)
        if report["clean"]:
            yield _table("told to clean up clean pictures", tuple(report["clean"]), [tuple(report["clean"].values())])
    elif report["task"] == "match":
        yield _table(
            "match", ("", "R@1", "R@5", "R@10"), [(way, *report[way].values()) for way in _WAYS if way in report]
        )
        if "reranked" in report:
            rows = [(way, *values.values()) for way, values in report["reranked"].items()]
            yield _table("re-ranked by ITM", ("", "R@1", "R@5", "R@10"), rows)
    elif report["task"] == "answer":
        yield _answers(report)
    elif report["task"] == "route":
        yield from _routing(report)
    elif report["task"] == "region":
        yield _regions(report)
    elif report["task"] == "edit":
        yield _edits(report)
    elif report["task"] == "track":
        parties = {"ours": report, **report["baselines"]}
        rows = [(name, *(values[key] for key in _TRACK_COLUMNS)) for name, values in parties.items()]
        yield _table("track", ("", *_TRACK_COLUMNS), rows)
    else:
        yield _numbers(report, tuple(key for key in _PLAIN if key in report))
        if report["task"] == "caption" and report["baselines"]:
            yield _table(
                "baselines", ("", "BLEU-4", "CIDEr"), [(n, *v.values()) for n, v in report["baselines"].items()]
            )


_MASKS = ("mask_ap", "mask_ap50", "mask_ap75", "mask_ap50_ci95")
_BOX_COLUMNS = ("box_ap", "box_ap50", "box_ap50_ci95", "box_ap75")
_PARTIES = ("input", "reconstruction", "classical", "ours")
_ANSWER_COLUMNS = ("accuracy", "answered", "accuracy_answered", "within_one")
_TRACK_COLUMNS = ("idf1", "mota", "id_switches", "false_positives", "misses", "objects")
_MASK_COLUMNS = ("giou", "giou_ci95", "ciou", "ciou_ci95", "multi_giou", "false_mask_rate")
_ROUTES = ("accuracy", "exact", "refusal", "refusal_precision")
_WAYS = ("image_to_text", "text_to_image")
_PLAIN = ("p_at_50", "sentences", "per_kind", "bleu4", "cider", "empty")


def cell(value: Any) -> str:
    """A value for reading: three digits, intervals as "0.41 .. 0.46", "-" where nothing was measured."""
    if value is None:
        return "-"
    if isinstance(value, Mapping):
        return "  ".join(f"{key} {cell(part)}" for key, part in value.items())
    if isinstance(value, list):
        return " .. ".join(cell(part) for part in value)
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _table(title: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> Table:
    table = Table(title=title, title_justify="left")
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place == 0 else "right")
    for row in rows:
        table.add_row(*(cell(value) for value in row))
    return table


def _numbers(report: Mapping[str, Any], keys: tuple[str, ...]) -> Table:
    return _table(str(report["task"]), ("measure", "value"), [(key, report[key]) for key in keys])


def _regions(report: Mapping[str, Any]) -> Table:
    columns = ("mark", "caption", "caption, named", "answer", "answer, named", "said", "right of those", "marks")
    rows = []
    for mark, values in report["marks"].items():
        shares = [values[task][way] for task in ("caption", "answer") for way in ("plain", "named")]
        rows.append((mark, *shares, *(values[key] for key in ("said", "said_right", "regions"))))
    return _table("region: the class is named", columns, rows)


def _edits(report: Mapping[str, Any]) -> Table:
    sizes = tuple(report["sizes"])
    methods = report["sizes"][sizes[0]]["methods"]
    rows = [
        (name, *(report["sizes"][size]["methods"][name][key] for size in sizes for key in ("psnr", "ssim")))
        for name in methods
    ]
    columns = ("", *(f"{size}: {key}" for size in sizes for key in ("PSNR", "SSIM")))
    return _table("edit: inside the hole", columns, rows)


def _boxes(report: Mapping[str, Any]) -> Table:
    model = report["model"]["name"] if report["model"] else None
    parties = {model: report} if model else {}
    columns = ["", "AP", "AP50", "AP50 95 % interval", "AP75"]
    sets = sorted({name for values in (*parties.values(), *report["baselines"].values()) for name in values["subsets"]})
    rows = [
        (name, *(values[key] for key in _BOX_COLUMNS), *(values["subsets"][key]["box_ap50"] for key in sets))
        for name, values in {**parties, **report["baselines"]}.items()
    ]
    return _table("detect", (*columns, *(f"AP50 {name}" for name in sets)), rows)


def _classes(report: Mapping[str, Any]) -> Table:
    """Classes with the most objects first."""
    ranked = sorted(report["per_class"].items(), key=lambda item: -item[1]["objects"])
    rows = [(name, part["ap"], part["ap50"], part["objects"]) for name, part in ranked[:CLASSES_SHOWN]]
    title = f"per class ({len(rows)} of {len(ranked)})"
    return _table(title, ("class", "AP", "AP50", "objects"), rows)


def _masks(report: Mapping[str, Any]) -> Iterator[Table]:
    """Model and baselines, then gIoU by kind of sentence; a party that nothing was measured of is left out."""
    measured = {"model": report, **report["baselines"]}
    parties = {name: values for name, values in measured.items() if values["sentences"]}
    rows = [(name, *(values[key] for key in _MASK_COLUMNS)) for name, values in parties.items()]
    titles = ("gIoU", "95 % interval", "cIoU", "95 % interval", "gIoU, 2+ targets", "false masks")
    yield _table("refer", ("", *titles), rows)
    first = next(iter(parties.values()))
    kinds = [
        (kind, values["sentences"], *(party["per_kind"][kind]["giou"] for party in parties.values()))
        for kind, values in first["per_kind"].items()
    ]
    yield _table("gIoU by kind of sentence", ("kind", "sentences", *parties), kinds)


def _leakage(report: Mapping[str, Any]) -> Table:
    """Unlisted objects called by a listed name, of the model and of the baselines that were measured."""
    parties = {report["model"]["name"]: report["leakage"]}
    parties |= {name: values["leakage"] for name, values in report["baselines"].items() if values.get("leakage")}
    rows = [
        (f"{name}, score >= {threshold}", shares["objects"], shares["answers"])
        for name, values in parties.items()
        for threshold, shares in values["thresholds"].items()
    ]
    title = f"{report['leakage']['unlisted_objects']} unlisted objects: share called by a listed name"
    return _table(title, ("", "of the objects", "of the answers"), rows)


def _restoration(report: Mapping[str, Any]) -> Table:
    """Parties that nothing was measured of are left out."""
    kinds = report["kinds"]
    parties = [name for name in _PARTIES if any(values[name] for values in kinds.values())]
    rows = []
    for kind, values in kinds.items():
        shown = [values[party] and f"{values[party]['psnr']:.2f} {values[party]['ssim']:.3f}" for party in parties]
        rows.append((kind, *shown, values["classical"]["method"]))
    return _table("restore: PSNR dB, SSIM", ("kind", *parties, "best classical"), rows)


def _answers(report: Mapping[str, Any]) -> Table:
    rows = []
    for kind, values in report["kinds"].items():
        for name, part in {"ours": values, **values["baselines"]}.items():
            rows.append((f"{kind}, {name}", *(part.get(key) for key in _ANSWER_COLUMNS)))
    return _table("answer", ("", *_ANSWER_COLUMNS), rows)


def _routing(report: Mapping[str, Any]) -> Iterator[Table]:
    if "confusion" in report:
        yield _numbers(report, ("accuracy", "refusal"))
        yield _confusion(report["confusion"])
        return
    rows = [
        (name, *(values.get(key) for key in _ROUTES))
        for name, values in ({"ours": report} | report["baselines"]).items()
    ]
    yield _table("route", ("", *_ROUTES), rows)
    if "kinds" in report:
        yield _table("right, by kind of sentence", ("kind", "right"), list(report["kinds"].items()))


def _confusion(confusion: Mapping[str, Mapping[str, int]]) -> Table:
    rows = []
    for wanted, row in confusion.items():
        wrong = {given: count for given, count in row.items() if given != wanted}
        rows.append((wanted, sum(row.values()), row.get(wanted, 0), wrong))
    return _table("sentences by task", ("task", "sentences", "right", "taken for"), rows)


def _footer(report: Mapping[str, Any]) -> str:
    model = report["model"]
    told = f"{model['name']} {model['weights_hash']} {model['dtype']} on {model['device']}" if model else "no model"
    parts = [f"{report['images']} pictures" if report["task"] != "route" else f"{report['sentences']} sentences"]
    parts += [f"{report['seconds']:.1f} s", told]
    parts += [f"{report[key]} {key}" for key in ("skipped", "failed") if report[key]]
    return ", ".join(parts)
