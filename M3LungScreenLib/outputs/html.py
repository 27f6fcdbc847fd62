"""Writes report.html, a single file with all pictures inside."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from M3LungScreenLib.classes import CLASSES, INDETERMINATE, class_by_key
from M3LungScreenLib.involvement import LungInvolvement
from M3LungScreenLib.outputs.charts import (
    along_volume,
    involvement_bars,
    probability_bars,
)
from M3LungScreenLib.outputs.montage import class_of, draw_montage, likeliest, slice_map
from M3LungScreenLib.outputs.pictures import ct_picture, data_uri, view_of
from M3LungScreenLib.outputs.wording import percent
from M3LungScreenLib.result import Result

KEY_SLICES = 3
KEY_SLICE_WIDTH = 520
KINDS = {
    "dicom_series": "DICOM series",
    "dicom_file": "DICOM file",
    "file": "Image file",
    "array": "Array",
}


@dataclass(frozen=True)
class KeySlice:
    """A slice shown large; `picture_map` is None if it is classified as Healthy."""

    title: str
    caption: str
    color: str
    picture: str
    picture_map: str | None


def report_html(result: Result, montage: Image.Image | None = None) -> str:
    """The whole report; all text from outside is escaped. `montage` is drawn if not given."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    return environment.get_template("report.html").render(
        contents(result, montage or draw_montage(result))
    )


def contents(result: Result, montage: Image.Image) -> dict[str, Any]:
    """The values shown by the template."""
    probabilities = likeliest(result)
    predicted = _predicted(result)
    several = result.volume.slice_count > 1
    keys = [key_slice(result, k) for k in result.most_telling_slices(KEY_SLICES)]
    return {
        "result": result,
        "patient": result.patient,
        "several": several,
        "preview": result.settings["detail"] == "preview",
        "headline": headline(result),
        "top": getattr(probabilities, predicted) if probabilities and predicted else None,
        "needed": result.settings["model"]["assessment"]["healthy_fraction_threshold"],
        "class_names": [(each.key, each.name) for each in CLASSES],
        "lungs": _lungs(result),
        "kind": KINDS.get(result.input.kind, result.input.kind),
        "spacing": " × ".join(f"{each:.4g}" for each in result.input.spacing_mm),
        "times": _times(result),
        "windows": ", ".join(map(with_minus, result.settings["window_centers_hu"])),
        "hu_range": " to ".join(map(with_minus, result.input.hu_range)),
        "accent": _accent(result),
        "predicted": class_by_key(predicted).name if predicted else None,
        "counted": class_by_key(result.patient.nonparametric.predicted) if result.patient else None,
        "bars": probability_bars(probabilities, predicted or "") if probabilities else None,
        "involvement_bars": involvement_bars(result.involvement) if several else None,
        "along": along_volume(result) if several else None,
        "key_slices": keys,
        "any_map": any(each.picture_map for each in keys),
        "montage": data_uri(montage, 80) if several else None,
    }


def headline(result: Result) -> str:
    """The verdict in words, capitalized."""
    called = result.patient.verdict if result.patient else _predicted(result)
    if called == INDETERMINATE:
        return "Indeterminate"
    if called is None:
        return "Not screened: no lung in this slice"
    words = class_by_key(called).verdict
    place = "" if result.patient else " in this slice"
    return words[0].upper() + words[1:] + place


def key_slice(result: Result, k: int) -> KeySlice:
    """Axial slice `k` with its picture, map and caption."""
    one = result.slice_of(k)
    view = view_of(result, KEY_SLICE_WIDTH)
    name, color = class_of(one)
    share = getattr(one.probabilities, one.predicted) if one.predicted else 0.0
    center = ", ".join(with_minus(f"{each:.1f}") for each in one.position_mm)
    healthy = one.predicted == "healthy"
    return KeySlice(
        title=f"Slice {one.index}",
        caption=f"{name} {percent(share)} · lesion {percent(one.p_lesion or 0.0)} · "
        f"{percent(one.involvement or 0.0)} of lung involved · "
        f"center {center} mm (LPS)",
        color=color,
        picture=data_uri(ct_picture(result, k, view)),
        picture_map=None if healthy else data_uri(slice_map(result, k, view, outline=True)),
    )


def with_minus(number: float | str) -> str:
    """A number with a real minus sign."""
    return str(number).replace("-", "−")


def _predicted(result: Result) -> str | None:
    if result.patient:
        return result.patient.predicted
    return next((each.predicted for each in result.slices if each.predicted), None)


def _accent(result: Result) -> str:
    called = result.patient.verdict if result.patient else _predicted(result)
    if called in (None, INDETERMINATE):
        return "#6b6b6b"
    return class_by_key(str(called)).color


def _lungs(result: Result) -> list[tuple[str, LungInvolvement, float]]:
    share, volume = result.involvement, result.lung_volume_ml
    return [
        ("Right lung", share.right, volume.right),
        ("Left lung", share.left, volume.left),
        ("Both lungs", share.total, volume.total),
    ]


def _times(result: Result) -> str:
    """Total and steps; writing is left out because it is not finished yet."""
    steps = {name: each for name, each in asdict(result.timing_s).items() if name != "write"}
    total = steps.pop("total")
    parts = ", ".join(f"{name.replace('_', ' ')} {each:.1f}" for name, each in steps.items())
    return f"{total:.1f} s ({parts})"
