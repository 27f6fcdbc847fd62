"""The summary of a batch: one row for each study, as CSV, Parquet and a page to browse."""

import csv
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from M3LungScreenLib.batch.one_study import REFUSAL_FILE
from M3LungScreenLib.batch.studies import Study
from M3LungScreenLib.classes import CLASS_KEYS, CLASSES, INDETERMINATE
from M3LungScreenLib.outputs.folder import RESULT_FILE
from M3LungScreenLib.outputs.wording import percent

Row = dict[str, Any]
COLUMNS = {
    "study": str,
    "status": str,  # screened or refused
    "verdict": str,
    "predicted": str,
    **{f"p_{key}": float for key in CLASS_KEYS},
    "agreement": bool,
    "involvement": float,
    "involvement_right": float,
    "involvement_left": float,
    "ground_glass": float,
    "consolidation": float,
    "severity_score": int,
    "warnings": str,  # codes
    "refusal_kind": str,
    "refusal": str,
}
# Timings differ from run to run, so they have a file of their own.
TIMES_FILE = "seconds.csv"


def write_summary(studies: Iterable[Study], out: Path, with_key: bool) -> list[Row]:
    """Write summary.csv, summary.parquet, seconds.csv, index.html and, if wanted, key.csv."""
    studies = sorted(studies, key=lambda each: each.key)
    if with_key:
        _write_csv(out / "key.csv", _key_rows(studies), ("study", "path", "study_uid"))
    read = [(each, row_of(each.key, out / "studies" / each.key)) for each in studies]
    rows = [row for _, (row, _) in read]
    seconds = [{"study": each.key, "seconds": round(took, 3)} for each, (_, took) in read]
    _write_csv(out / "summary.csv", rows, tuple(COLUMNS))
    _write_csv(out / TIMES_FILE, seconds, ("study", "seconds"))
    _write_parquet(out / "summary.parquet", rows)
    _put(out / "index.html", _page(rows, out).encode())
    return rows


def row_of(key: str, folder: Path) -> tuple[Row, float]:
    """The row of one study, and its seconds; a study without a folder is 'missing'."""
    row: Row = dict.fromkeys(COLUMNS) | {"study": key}
    if (folder / RESULT_FILE).exists():
        content = json.loads((folder / RESULT_FILE).read_text("utf-8"))
        return row | _screened(content), float(content["timing_s"]["total"])
    if (folder / REFUSAL_FILE).exists():
        refused = json.loads((folder / REFUSAL_FILE).read_text("utf-8"))
        told = {"refusal_kind": refused["kind"], "refusal": refused["message"]}
        return row | {"status": "refused", **told}, float(refused["seconds"])
    return row | {"status": "missing"}, 0.0


def _screened(content: Mapping[str, Any]) -> Row:
    patient, involved = content["patient"], content["involvement"]
    row: Row = {
        "status": "screened",
        "involvement": involved["total"]["fraction"],
        "involvement_right": involved["right"]["fraction"],
        "involvement_left": involved["left"]["fraction"],
        "ground_glass": involved["total"]["ground_glass"],
        "consolidation": involved["total"]["consolidation"],
        "severity_score": involved["severity_score"],
        "warnings": " ".join(dict.fromkeys(each["code"] for each in content["warnings"])),
    }
    if patient is None:
        return row
    return row | {
        "verdict": patient["verdict"],
        "predicted": patient["predicted"],
        **{f"p_{key}": patient["probabilities"][key] for key in CLASS_KEYS},
        "agreement": patient["agreement"],
    }


def _key_rows(studies: Iterable[Study]) -> list[Row]:
    return [
        {"study": each.key, "path": str(each.place), "study_uid": each.study_uid}
        for each in studies
    ]


def _write_csv(path: Path, rows: Iterable[Row], columns: tuple[str, ...]) -> None:
    unfinished = _unfinished(path)
    with unfinished.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    unfinished.replace(path)


def _write_parquet(path: Path, rows: list[Row]) -> None:
    import pyarrow
    from pyarrow import parquet

    types = {str: pyarrow.string(), float: pyarrow.float64(), int: pyarrow.int64()}
    types[bool] = pyarrow.bool_()
    schema = pyarrow.schema([(name, types[kind]) for name, kind in COLUMNS.items()])
    unfinished = _unfinished(path)
    parquet.write_table(pyarrow.Table.from_pylist(rows, schema), unfinished)
    unfinished.replace(path)


def _put(path: Path, content: bytes) -> None:
    unfinished = _unfinished(path)
    unfinished.write_bytes(content)
    unfinished.replace(path)


def _unfinished(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def _page(rows: list[Row], out: Path) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    names = {each.key: each.name for each in CLASSES} | {INDETERMINATE: "Indeterminate"}
    colors = {each.key: each.color for each in CLASSES}
    shown = [
        row
        | {
            "verdict_name": names.get(row["verdict"] or "", ""),
            "color": colors.get(row["verdict"] or "", "#6b6b6b"),
            "top": max((row[f"p_{key}"] or 0.0) for key in CLASS_KEYS),
            "thumbnail": (out / "thumbnails" / f"{row['study']}.png").exists(),
        }
        for row in rows
    ]
    return environment.get_template("index.html").render(rows=shown)
