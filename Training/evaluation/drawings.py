"""ROC curves, confusion matrix and reliability diagram, each as PNG and SVG."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from M3LungScreenLib.classes import CLASSES

DOTS_PER_INCH = 150
INK, QUIET, RAIL = "#1d2329", "#5c6670", "#d5dade"
DASHES: dict[str, Any] = {
    "healthy": "-",
    "covid19": (0, (7, 3)),
    "h1n1": (0, (2, 2)),
    "cap": (0, (9, 3, 2, 3)),
}
NAMES = [each.name for each in CLASSES]


def save(figure: Figure, folder: Path, name: str) -> None:
    """Write `name`.png and `name`.svg to `folder`; equal figures give equal files."""
    figure.savefig(folder / f"{name}.png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    save_svg(figure, folder / f"{name}.svg")


def save_svg(figure: Figure, path: Path, dots_per_inch: int = DOTS_PER_INCH) -> None:
    """Write an SVG without a date and with reproducible identifiers."""
    with rc_context({"svg.hashsalt": path.name}):
        figure.savefig(path, dpi=dots_per_inch, metadata={"Date": None})


def draw_roc(panels: dict[str, tuple[np.ndarray, np.ndarray, dict[str, Any]]]) -> Figure:
    """One panel per method, by title: true classes `[n]`, scores `[n, 4]`, AUC by class key.

    AUCs are figures of metrics.json; a class without one shows the reason instead of a curve.
    """
    figure = Figure(figsize=(5.2 * len(panels), 5.4), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for panel, (title, (truth, scores, aucs)) in zip(axes, panels.items(), strict=True):
        _frame(panel, title, "1 - specificity", "sensitivity")
        for each in CLASSES:
            _curve(panel, truth == each.index, scores[:, each.index], each.index, aucs[each.key])
        panel.legend(loc="lower right", fontsize=8, edgecolor="none", handlelength=3)
    return figure


def draw_confusion(panels: dict[str, list[list[int]]]) -> Figure:
    """Counts by true class (rows) and predicted class (columns), shaded by the share of the row."""
    figure = Figure(figsize=(4.8 * len(panels), 4.6), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for panel, (title, counts) in zip(axes, panels.items(), strict=True):
        matrix = np.array(counts)
        shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
        panel.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (row, column), count in np.ndenumerate(matrix):
            color = "white" if shares[row, column] > 0.5 else INK
            panel.text(column, row, str(count), ha="center", va="center", color=color)
        panel.set_xticks(range(4), NAMES)
        panel.set_yticks(range(4), NAMES)
        panel.set(xlabel="predicted class", ylabel="true class")
        panel.set_title(title, fontsize=11)
    return figure


def draw_reliability(panels: dict[str, tuple[list[dict[str, float]], float | None]]) -> Figure:
    """By title: the bins of `metrics.reliability_bins` and the ECE (None if unknown)."""
    figure = Figure(figsize=(4.8 * len(panels), 5.0), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for panel, (title, (bins, ece)) in zip(axes, panels.items(), strict=True):
        known = "" if ece is None else f", ECE {ece:.3f}"
        _frame(panel, f"{title}{known}", "probability of the predicted class", "share correct")
        for each in bins:
            _bar(panel, each)
    return figure


def _frame(panel: Axes, title: str, xlabel: str, ylabel: str) -> None:
    panel.plot([0, 1], [0, 1], color=RAIL, linewidth=1, zorder=2.5)
    panel.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.06), aspect="equal", xlabel=xlabel, ylabel=ylabel)
    panel.set_title(title, fontsize=11)
    panel.spines[["top", "right"]].set_visible(False)


def _curve(
    panel: Axes, is_one: np.ndarray, scores: np.ndarray, index: int, figure: dict[str, Any]
) -> None:
    each = CLASSES[index]
    if figure["value"] is None:
        panel.plot([], [], " ", label=f"{each.name}: {figure['reason']}")
        return
    false, true, _ = roc_curve(is_one, scores)
    between = figure["interval"]
    interval = f" ({between[0]:.3f} to {between[1]:.3f})" if between else ""
    label = f"{each.name}: AUC {figure['value']:.3f}{interval}"
    style = DASHES[each.key]
    panel.plot(false, true, color=each.color, linestyle=style, linewidth=1.8, label=label)


def _bar(panel: Axes, each: dict[str, float]) -> None:
    low, wide = each["low"], each["high"] - each["low"]
    panel.bar(low, each["accuracy"], wide, align="edge", color="#6f8ca6", edgecolor="white")
    panel.plot(each["confidence"], each["accuracy"], "o", color=INK, markersize=4)
    place = (low + wide / 2, each["accuracy"] + 0.015)
    panel.annotate(f"{each['count']:.0f}", place, ha="center", fontsize=7, color=QUIET)
