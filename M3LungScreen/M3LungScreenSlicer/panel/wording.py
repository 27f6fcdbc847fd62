"""The texts of a result: rich text from result.json's values, without Qt.

Whatever comes from outside is escaped. Colours are the classes' own, always beside
a sign of another shape and the name; all other text has the palette's colour.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from slicer.i18n import translate

from M3LungScreenLib.classes import CLASSES, INDETERMINATE, class_by_key
from M3LungScreenLib.outputs.wording import percent

Content = Mapping[str, Any]

SIGNS = {"healthy": "●", "covid19": "▲", "h1n1": "◆", "cap": "■"}
SIDES = ("right", "left", "total")
SEVERITY_MAXIMUM = 24
LONGEST_LINE = 90  # two lines of a narrow panel


def share_text(share: float) -> str:
    """A percentage for rich text, where '<' would begin a tag."""
    return escape(percent(share))


def sign(key: str) -> str:
    """The sign of a class in its colour."""
    return f'<span style="color:{class_by_key(key).color}">{SIGNS[key]}</span>'


def class_name(key: str) -> str:
    """The name of a class after its sign."""
    return f"{sign(key)} {escape(class_by_key(key).name)}"


def class_with(key: str, number: str) -> str:
    """A class and a number, without a line break between them."""
    name = escape(class_by_key(key).name).replace("-", "\N{NON-BREAKING HYPHEN}")
    return f"{sign(key)}&nbsp;{name}&nbsp;{number.replace(' ', '&nbsp;')}"


def verdict_text(verdict: str) -> str:
    """A verdict in words, with a capital."""
    if verdict == INDETERMINATE:
        return translate("M3LungScreen", "Indeterminate")
    # The library's words (classes.py), here as literals that can be translated; a test compares.
    words = {
        "healthy": translate("M3LungScreen", "No pneumonia pattern found"),
        "covid19": translate("M3LungScreen", "Pattern of COVID-19 pneumonia"),
        "h1n1": translate("M3LungScreen", "Pattern of H1N1 influenza pneumonia"),
        "cap": translate("M3LungScreen", "Pattern of community-acquired pneumonia"),
    }
    return words[verdict]


def headline(content: Content) -> str:
    """The verdict, large."""
    patient = content["patient"]
    if patient:
        return large_text(patient["verdict"], verdict_text(patient["verdict"]))
    key = single_class(content)
    if key is None:
        return large_text(
            INDETERMINATE, translate("M3LungScreen", "Not screened: no lung in this slice")
        )
    return large_text(
        key, translate("M3LungScreen", "{verdict} in this slice").format(verdict=verdict_text(key))
    )


def large_text(verdict: str, words: str) -> str:
    """Words of a verdict as the panel's headline, with the sign of the class."""
    before = "?" if verdict == INDETERMINATE else sign(verdict)
    return f'<span style="font-size:large; font-weight:bold">{before} {escape(words)}</span>'


def certainty(content: Content) -> str:
    """The probabilities of the two most likely classes, or why the verdict is indeterminate."""
    patient = content["patient"]
    if not patient:
        return translate(
            "M3LungScreen", "This result is for one slice; it is not a verdict on the patient."
        )
    if patient["reasons"]:
        return "<br>".join(escape(each) for each in patient["reasons"])
    ranked = sorted(CLASSES, key=lambda each: -patient["probabilities"][each.key])
    first, second = ranked[:2]
    return translate("M3LungScreen", "{first} {p}, followed by {second} {q}.").format(
        first=escape(first.name),
        p=f"<b>{share_text(patient['probabilities'][first.key])}</b>",
        second=escape(second.name),
        q=share_text(patient["probabilities"][second.key]),
    )


def probabilities(content: Content) -> Mapping[str, float] | None:
    """The patient's four, or those of the only slice."""
    if content["patient"]:
        return content["patient"]["probabilities"]
    return next(
        (each["probabilities"] for each in content["slices"] if each["probabilities"]), None
    )


def single_class(content: Content) -> str | None:
    """The class of the only screened slice."""
    return next((each["predicted"] for each in content["slices"] if each["predicted"]), None)


def slice_count(content: Content) -> str:
    """Eq. 5's answer beside the network's, and whether the two agree."""
    patient = content["patient"]
    if not patient:
        return ""
    counted = patient["nonparametric"]
    parts = [class_with(each.key, str(counted["counts"][each.key])) for each in CLASSES]
    says = translate("M3LungScreen", "Slice count: {name}.").format(
        name=f"<b>{_name(counted['predicted'])}</b>"
    )
    return f"{says} {_agreement(patient)}<br>{'&nbsp; '.join(parts)}"


def _agreement(patient: Content) -> str:
    name = f"<b>{_name(patient['predicted'])}</b>"
    if patient["verdict"] == INDETERMINATE:
        words = translate(
            "M3LungScreen", "The network's most likely class is {name}, but there is no verdict."
        ).format(name=name)
        return ("✓ " if patient["agreement"] else "≠ ") + words
    if patient["agreement"]:
        return "✓ " + translate("M3LungScreen", "Both assessments agree.")
    return "≠ " + translate(
        "M3LungScreen", "The two assessments disagree: the network says {name}."
    ).format(name=name)


def _name(key: str) -> str:
    return escape(class_by_key(key).name)


def warnings(content: Content) -> str:
    """The warnings as a list under a heading, '' where there are none."""
    messages = [escape(each["message"]) for each in content["warnings"]]
    if not messages:
        return ""
    heading = translate("M3LungScreen", "Please note")
    return f"<b>⚠ {heading}</b>" + bullets(messages)


def bullets(lines: Sequence[str]) -> str:
    """Lines of rich text as a list; Qt's own would be indented by a tenth of the panel."""
    return "".join(f"<br>• {line}" for line in lines)


def involvement(content: Content) -> str:
    """How much of each lung and zone is lesion, and the severity score."""
    shares, volumes = content["involvement"], content["lung_volume_ml"]
    names = {
        "ground_glass": translate("M3LungScreen", "Ground glass"),
        "consolidation": translate("M3LungScreen", "Consolidation"),
        "upper": translate("M3LungScreen", "Upper zone"),
        "middle": translate("M3LungScreen", "Middle zone"),
        "lower": translate("M3LungScreen", "Lower zone"),
        "central": translate("M3LungScreen", "Central zone"),
        "peripheral": translate("M3LungScreen", "Peripheral zone"),
    }
    involved = translate("M3LungScreen", "Involved")
    whole = [f"<b>{share_text(shares[side]['fraction'])}</b>" for side in SIDES]
    rows = [
        _row(
            "",
            [
                translate("M3LungScreen", "Right"),
                translate("M3LungScreen", "Left"),
                translate("M3LungScreen", "Both"),
            ],
            "th",
        ),
        _row(f"<b>{involved}</b>", whole),
        *(_row(n, [share_text(shares[side][key]) for side in SIDES]) for key, n in names.items()),
        _row(
            translate("M3LungScreen", "Lung volume"), [f"{volumes[side]:.0f} ml" for side in SIDES]
        ),
    ]
    score = translate("M3LungScreen", "CT severity score <b>{score}</b> of {maximum}").format(
        score=shares["severity_score"], maximum=SEVERITY_MAXIMUM
    )
    table = f'<table width="100%" cellpadding="1">{"".join(rows)}</table>'
    heading = translate("M3LungScreen", "Involvement of the lungs")
    return f"<b>{heading}</b>{table}{score}"


def _row(name: str, cells: Sequence[str], tag: str = "td") -> str:
    others = "".join(f'<{tag} align="right">{each}</{tag}>' for each in cells)
    return f"<tr><td>{name}</td>{others}</tr>"


def origin(content: Content) -> str:
    """Three lines: the model, the number of screened slices, the time and the device."""
    model, settings = content["model"], content["settings"]
    screened = translate("M3LungScreen", "{n} of {of} slices with lung").format(
        n=settings["slices_screened"], of=settings["slices_informative"]
    )
    time = translate("M3LungScreen", "{duration} on the {device}").format(
        duration=duration(content["timing_s"]["total"]), device=device_name(content["device"])
    )
    facts = [
        (translate("M3LungScreen", "Model"), f"{model['name']} {model['version']}"),
        (translate("M3LungScreen", "Screened"), screened),
        (translate("M3LungScreen", "Time"), time),
    ]
    rows = "".join(f"<tr><td>{a}&nbsp;&nbsp;</td><td>{escape(b)}</td></tr>" for a, b in facts)
    return f"<table>{rows}</table>"


def origin_details(content: Content) -> str:
    """The notes of the model card: training data and known errors; '' without notes."""
    return bullets([escape(note) for note in content["model"]["notes"]]).removeprefix("<br>")


def result_line(content: Content, frame: Mapping[str, Any]) -> str:
    """A result in a list, as plain text: verdict, model, and the frame of a sequence."""
    patient = content["patient"]
    key = patient["verdict"] if patient else single_class(content)
    verdict = verdict_text(key) if key else translate("M3LungScreen", "Not screened")
    if patient and key != INDETERMINATE:
        verdict += f" {percent(patient['probabilities'][key])}"
    model = f"{content['model']['name']} {content['model']['version']}"
    return " · ".join([verdict, model, *([frame["words"]] if frame else [])])


def frame_note(frame: Mapping[str, Any], another_is_shown: bool) -> str:
    """Which frame of a sequence the result is of, '' where the CT is no sequence."""
    if not frame:
        return ""
    said = translate("M3LungScreen", "This result is for {frame}.").format(
        frame=escape(frame["words"])
    )
    if not another_is_shown:
        return said
    other = translate("M3LungScreen", "The views now show another frame.")
    return f"⚠ <b>{said} {other}</b>"


def device_name(device: str) -> str:
    """'cpu' and 'cuda:0' as shown to the user."""
    if device == "cpu":
        return translate("M3LungScreen", "CPU")
    return (
        device.replace("cuda", translate("M3LungScreen", "GPU"), 1)
        if device.startswith("cuda")
        else device
    )


def duration(seconds: float) -> str:
    """Seconds under two minutes, minutes from there on."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def unverified_note(key: str, unverified: Sequence[str]) -> str:
    """The note next to the bar of a class never verified on real CT, else ''."""
    return "⚠ " + translate("M3LungScreen", "unverified") if key in unverified else ""


def unverified_legend(unverified: Sequence[str]) -> str:
    """What 'unverified' means, where a class is."""
    return (
        "⚠ " + translate("M3LungScreen", "unverified: never verified on real CT.")
        if unverified
        else ""
    )


def steps() -> dict[str, str]:
    """Texts by the name of the library's step; '' is before the first."""
    return {
        "": translate("M3LungScreen", "Starting"),
        "read": translate("M3LungScreen", "Reading the CT"),
        "preprocess": translate("M3LungScreen", "Segmenting the lungs"),
        "slice_network": translate("M3LungScreen", "Classifying the slices"),
        "patient_network": translate("M3LungScreen", "Classifying the patient"),
        "localization": translate("M3LungScreen", "Locating the lesions"),
        "write": translate("M3LungScreen", "Writing the result"),
    }


def step(name: str, seconds_left: float | None) -> str:
    """The current step, and the remaining time if it is known."""
    words = steps().get(name, name)
    if seconds_left is None:
        return f"{words}…"
    return translate("M3LungScreen", "{step}, about {time} left").format(
        step=words, time=duration(max(1.0, seconds_left))
    )


def installing(line: str) -> str:
    """pip's last line, shortened in the middle: the progress of a download is at its end."""
    half = LONGEST_LINE // 2
    short = line if len(line) <= LONGEST_LINE else f"{line[:half]}…{line[-half:]}"
    return translate("M3LungScreen", "Installing … {line}").format(line=short).strip()


def provisional(event: Content) -> str:
    """The line under a first verdict."""
    return translate(
        "M3LungScreen", "Provisional, based on {n} slices. The final verdict will follow."
    ).format(n=event["slices_screened"])
