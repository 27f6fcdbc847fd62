"""The figures as a Markdown table."""

from typing import Any

from M3LungScreenLib.classes import CLASSES

METHODS = {"patient": "patient-level network", "count_of_slices": "count of slices (Eq. 5)"}
ERRORS = {
    "accuracy": "Accuracy",
    "false_positive_error": "FPE",
    "false_negative_error": "FNE",
    "false_disease_prediction_error": "FDPE",
}
OF_CLASS = {"sensitivity": "sensitivity", "specificity": "specificity", "auc": "AUC"}
OF_MAPS = {"dice": "Dice", "pixel_auc": "pixel AUC", "pointing_game": "pointing game"}


def markdown(metrics: dict[str, Any]) -> str:
    """`summary.summarise`'s figures for people."""
    parts = [_head(metrics), _errors(metrics), _classes(metrics), _slices(metrics)]
    parts += [_maps(metrics), _remarks(metrics)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(metrics: dict[str, Any]) -> str:
    model, cases = metrics["model"], metrics["cases"]
    counted = ", ".join(f"{each.name} {cases['of_each_class'][each.key]}" for each in CLASSES)
    return (
        f"# {model['name']} {model['version']} ({model['sha256'][:12]})\n\n"
        f"{_many(cases['used'], 'patient')} ({counted}); {len(cases['refused'])} refused. "
        f"Brackets: 95 % intervals from {metrics['resamples']} bootstrap resamples of patients."
    )


def _errors(metrics: dict[str, Any]) -> str:
    rows = [
        [label, *(_percent(metrics[each][name]) for each in METHODS), _p(metrics, name)]
        for name, label in ERRORS.items()
    ]
    rows.append(["ECE", _number(metrics["calibration"]["ece"]), "", ""])
    doubt = metrics["indeterminate"]
    rows.append(["Share with a verdict", _percent(doubt["coverage"]), "", ""])
    rows.append(["Accuracy with a verdict", _percent(doubt["accuracy_of_decided"]), "", ""])
    return _table(["Patient level", *METHODS.values(), "p (difference)"], rows)


def _classes(metrics: dict[str, Any]) -> str:
    rows = [
        [f"{each.name}, {label}", *(_of_class(metrics[m], each.key, name) for m in METHODS)]
        for each in CLASSES
        for name, label in OF_CLASS.items()
    ]
    return _table(["Class versus rest", *METHODS.values()], rows)


def _slices(metrics: dict[str, Any]) -> str:
    slices = metrics["slice"]
    if not slices["slices"]:
        return "No annotated slices, so no slice-level figures."
    rows = [[each.name, _number(slices["auc"][each.key])] for each in CLASSES]
    rows.append(["lesion versus none", _number(slices["lesion_auc"])])
    annotated = _many(slices["slices"], "annotated slice")
    head = f"Slice level ({annotated} of {_many(slices['patients'], 'patient')})"
    return _table([head, "AUC"], rows)


def _maps(metrics: dict[str, Any]) -> str:
    maps = metrics["maps"]
    if not any(each["patients"] for each in maps.values()):
        return "No truth masks, so no figures for location maps."
    rows = [
        [f"{each.name} ({maps[each.key]['patients']})"]
        + [_number(maps[each.key][name]) for name in OF_MAPS]
        for each in CLASSES[1:]
    ]
    return _table(["Maps (patients with masks)", *OF_MAPS.values()], rows)


def _remarks(metrics: dict[str, Any]) -> str:
    cases = metrics["cases"]
    lines = [f"- {case}: refused. {why}" for case, why in cases["refused"].items()]
    lines += [f"- {case}: {' '.join(notes)}" for case, notes in cases["notes"].items()]
    return "\n".join(lines)


def _of_class(method: dict[str, Any], key: str, name: str) -> str:
    figure = method["of_each_class"][key][name]
    return _number(figure) if name == "auc" else _percent(figure)


def _p(metrics: dict[str, Any], name: str) -> str:
    figure = metrics["network_against_count"][f"p_{name}"]
    return figure["reason"] if figure["value"] is None else f"{figure['value']:.3f}"


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def _percent(figure: dict[str, Any]) -> str:
    return _written(figure, 100, ".2f", " %")


def _number(figure: dict[str, Any]) -> str:
    return _written(figure, 1, ".4f", "")


def _written(figure: dict[str, Any], scale: float, form: str, unit: str) -> str:
    if figure["value"] is None:
        return f"– ({figure['reason']})"
    value = f"{scale * figure['value']:{form}}{unit}"
    if figure["interval"] is None:
        return value
    low, high = (f"{scale * each:{form}}" for each in figure["interval"])
    return f"{value} [{low}, {high}]"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
