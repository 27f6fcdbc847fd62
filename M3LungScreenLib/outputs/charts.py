"""Charts as inline SVG: small, sharp in print, and readable without color.

Each line has its own dash and each bar its own label; colors are those of classes.py.
"""

from collections.abc import Callable, Sequence

from markupsafe import Markup, escape

from M3LungScreenLib.classes import CLASSES
from M3LungScreenLib.involvement import Involvement, LungInvolvement
from M3LungScreenLib.outputs.wording import percent
from M3LungScreenLib.result import ClassProbabilities, Result, SliceResult

INK, QUIET, RAIL = "#1d2329", "#5c6670", "#e6e9ec"
GROUND_GLASS, CONSOLIDATION, ZONE = "#9db4c8", "#2f4d68", "#6f8ca6"
DASHES = {"healthy": "", "covid19": "7 3", "h1n1": "2 2.5", "cap": "9 3 2 3"}
ZONES = ("upper", "middle", "lower", "central", "peripheral")
SCALES = (0.05, 0.1, 0.25, 0.5, 1.0)


def probability_bars(probabilities: ClassProbabilities, predicted: str) -> Markup:
    """Four labeled bars with numbers, the most likely class in bold."""
    parts = []
    for each in CLASSES:
        share, y = getattr(probabilities, each.key), 8 + 30 * each.index
        weight = 700 if each.key == predicted else 400
        parts += [
            _text(78, y + 13, each.name, anchor="end", size=13, weight=weight),
            _rect(88, y, 226, 18, RAIL),
            _rect(88, y, 226 * share, 18, each.color),
            _text(392, y + 13, percent(share), anchor="end", size=13, weight=weight),
        ]
    return _svg(400, 126, "Probability of each class", parts)


def involvement_bars(involvement: Involvement) -> Markup:
    """Both lungs side by side as on CT (patient's right on the left), by zone."""
    lungs = (involvement.right, involvement.left)
    scale = _scale(max(getattr(lung, zone) for lung in lungs for zone in ("fraction", *ZONES)))
    parts = [
        _text(235, 16, "Right lung", anchor="end", weight=700),
        _text(365, 16, "Left lung", weight=700),
    ]
    for side, lung in zip((-1, 1), lungs, strict=True):
        parts += _lung_bars(lung, side, scale)
    for row, zone in enumerate(("whole lung", *ZONES)):
        parts.append(_text(300, 41 + 26 * row, zone, anchor="middle", color=QUIET))
    parts += _involvement_axis(scale)
    return _svg(600, 226, "Involvement of each lung and zone", parts)


def along_volume(result: Result) -> Markup:
    """The four probabilities of Eq. 4 and P(lesion) by slice, feet to head."""
    slices = [result.slice_of(k) for k in range(result.volume.slice_count)]
    count = len(slices)

    def x(k: float) -> float:
        return 52 + 640 * (k + 0.5) / count

    known = [k for k, each in enumerate(slices) if each.screened]
    parts = _panel(18, 90, "lesion") + _panel(142, 150, "each class")
    parts += _lesion_curve(slices, known, x)
    for each in CLASSES:
        points = [(x(k), 292 - 150 * _of(slices[k], each.key)) for k in known]
        parts.append(_line(points, each.color, DASHES[each.key], 1.8))
    return _svg(
        720, 366, "Probabilities along the volume", parts + _slice_axis(slices, x) + _legend()
    )


def _lung_bars(lung: LungInvolvement, side: int, scale: float) -> list[Markup]:
    """`side` -1 grows to the left from x 250, +1 to the right from x 350."""
    parts = []
    for row, zone in enumerate(("fraction", *ZONES)):
        y, share = 28 + 26 * row, getattr(lung, zone)
        pieces = [(share, ZONE)]
        if zone == "fraction":
            pieces = [(lung.ground_glass, GROUND_GLASS), (lung.consolidation, CONSOLIDATION)]
        reach = 0.0
        for piece, color in pieces:
            length = 180 * piece / scale
            start = 300 + side * (50 + reach) - (length if side < 0 else 0)
            parts.append(_rect(start, y, length, 17, color))
            reach += length
        weight = 700 if zone == "fraction" else 400
        anchor = "end" if side < 0 else "start"
        place = 300 + side * (56 + reach)
        parts.append(_text(place, y + 13, percent(share), anchor=anchor, weight=weight))
    return parts


def _involvement_axis(scale: float) -> list[Markup]:
    parts = []
    for side in (-1, 1):
        base, end = 300 + side * 50, 300 + side * 230
        parts.append(_path(f"M{base} 24V186", QUIET))
        parts.append(_path(f"M{base} 186H{end}", RAIL))
        parts.append(_text(base, 200, "0", anchor="middle", size=10, color=QUIET))
        parts.append(_text(end, 200, f"{scale:.0%}", anchor="middle", size=10, color=QUIET))
    parts += [_rect(176, 211, 14, 11, GROUND_GLASS), _text(195, 221, "ground glass", size=11)]
    parts += [_rect(306, 211, 14, 11, CONSOLIDATION), _text(325, 221, "consolidation", size=11)]
    return parts


def _scale(largest: float) -> float:
    return next(each for each in SCALES if largest <= each)


def _of(one: SliceResult, key: str) -> float:
    return float(getattr(one.probabilities, key)) if one.probabilities else 0.0


def _panel(top: int, height: int, name: str) -> list[Markup]:
    parts = [_text(52, top - 6, f"Probability of {name}", size=11, color=QUIET)]
    for share in (0.0, 0.5, 1.0):
        y = top + height * (1 - share)
        parts.append(_path(f"M52 {y:g}H692", RAIL if share else QUIET))
        parts.append(_text(46, y + 4, f"{share:.0%}", anchor="end", size=10, color=QUIET))
    return parts


def _lesion_curve(
    slices: Sequence[SliceResult], known: list[int], x: Callable[[float], float]
) -> list[Markup]:
    points = [(x(k), 108 - 90 * (slices[k].p_lesion or 0.0)) for k in known]
    if not points:
        return []
    outline = "L".join(f"{a:.1f} {b:.1f}" for a, b in points)
    area = f"M{points[0][0]:.1f} 108L{outline}L{points[-1][0]:.1f} 108Z"
    return [_path(area, "none", fill="#dfe3e7"), _line(points, INK, "", 1.8)]


def _slice_axis(slices: Sequence[SliceResult], x: Callable[[float], float]) -> list[Markup]:
    step = next(each for each in (1, 2, 5, 10, 20, 50, 100, 200) if len(slices) / each <= 14)
    parts = [
        _text(x(k), 308, str(one.index), anchor="middle", size=10, color=QUIET)
        for k, one in enumerate(slices)
        if one.index % step == 0
    ]
    parts.append(_text(52, 324, "feet", size=11, color=QUIET))
    parts.append(_text(372, 324, "slice", anchor="middle", size=11, color=QUIET))
    parts.append(_text(692, 324, "head", anchor="end", size=11, color=QUIET))
    return parts


def _legend() -> list[Markup]:
    parts = []
    for each in CLASSES:
        left = 120 + 130 * each.index
        parts.append(_line([(left, 350), (left + 34, 350)], each.color, DASHES[each.key], 2.2))
        parts.append(_text(left + 41, 354, each.name, size=12))
    return parts


def _svg(width: int, height: int, title: str, parts: Sequence[Markup]) -> Markup:
    head = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
        width, height, title
    )
    return head + Markup("").join(parts) + Markup("</svg>")


def _rect(x: float, y: float, width: float, height: float, color: str) -> Markup:
    return Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" fill="{}"/>').format(
        x, y, width, height, color
    )


def _path(commands: str, color: str, fill: str = "none") -> Markup:
    return Markup('<path d="{}" stroke="{}" fill="{}"/>').format(commands, color, fill)


def _line(points: Sequence[tuple[float, float]], color: str, dash: str, width: float) -> Markup:
    """A polyline; a single point becomes a dot."""
    if len(points) == 1:
        return Markup('<circle cx="{:.1f}" cy="{:.1f}" r="3.5" fill="{}"/>').format(
            *points[0], color
        )
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return Markup(
        '<polyline points="{}" fill="none" stroke="{}" stroke-width="{}" '
        'stroke-dasharray="{}" stroke-linejoin="round"/>'
    ).format(joined, color, width, dash)


def _text(
    x: float,
    y: float,
    words: str,
    *,
    anchor: str = "start",
    size: int = 12,
    weight: int = 400,
    color: str = INK,
) -> Markup:
    return Markup(
        '<text x="{:.1f}" y="{:.1f}" text-anchor="{}" font-size="{}" font-weight="{}" '
        'fill="{}">{}</text>'
    ).format(x, y, anchor, size, weight, color, escape(words))
