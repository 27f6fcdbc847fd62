"""The report and its charts: whole, in plain words, and of no false certainty."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from M3LungScreenLib.key_slices import most_telling_slices
from M3LungScreenLib.outputs.charts import along_volume
from M3LungScreenLib.outputs.html import headline, report_html
from M3LungScreenLib.outputs.wording import percent
from M3LungScreenLib.result import ModelSummary, ScreeningWarning

HOSTILE = "<script>alert('x')</script>&\"<img src=http://evil.example/a.png>"
VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """Checks that tags nest; collects texts, pictures and every attribute."""

    def __init__(self, text):
        super().__init__()
        self.open, self.attributes, self.texts, self.tags = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.texts.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.texts).split())


KINDS = {
    "covid19": {},
    "healthy": {"called": "healthy"},
    "indeterminate": {"called": "cap", "top": 0.4},
    "single": {"slices": slice(14, 15)},
    "preview": {
        "screened": lambda k: k % 2 == 0,
        "warnings": (ScreeningWarning("preview", "A preview."),),
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_report_is_whole_and_refers_to_nothing_outside(make_result, kind):
    page = Page(report_html(make_result(**KINDS[kind])))
    for name, value in page.attributes:
        if name == "src":
            assert value.startswith("data:image/jpeg;base64,")
        assert name not in {"href", "srcset", "action", "onclick", "onload"}
    text = report_html(make_result(**KINDS[kind]))
    assert not re.search(r"https?:|//[a-z]|url\(|@import", re.sub(r"base64,[^\"]*", "", text))
    assert {"script", "link", "iframe"}.isdisjoint(page.tags)
    assert page.words.count("Research use only: not for clinical decisions.") == 1


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("covid19", ["Pattern of COVID-19 pneumonia", "92.0 %", "/ 24", "Both assessments agree"]),
        (
            "healthy",
            ["No pneumonia pattern found", "Most suspicious slices (all classified as Healthy)"],
        ),
        ("indeterminate", ["Indeterminate", "is most likely (40.0 %), below the "]),
        ("single", ["Pattern of COVID-19 pneumonia in this slice", "not a verdict on the patient"]),
        ("preview", ["A preview.", "12 of 25 slices", "All screened slices"]),
    ],
)
def test_the_report_says_what_was_found(make_result, kind, words):
    said = Page(report_html(make_result(**KINDS[kind]))).words.replace("\N{NO-BREAK SPACE}", " ")
    for each in [*words, "compact 0.1", "Trained on made-up lesions.", "ab" * 32]:
        assert each in said


def test_an_indeterminate_verdict_is_not_said_to_be_agreed_on(make_result):
    said = Page(report_html(make_result(**KINDS["indeterminate"]))).words
    assert "most likely class is CAP, but there is no verdict." in said
    assert "assessments agree" not in said


def test_disagreement_is_said(make_result):
    result = make_result(called="covid19")
    patient = replace(
        result.patient,
        agreement=False,
        nonparametric=replace(result.patient.nonparametric, predicted="cap"),
    )
    said = Page(report_html(replace(result, patient=patient))).words
    assert "The two assessments disagree: the network says COVID-19, the count CAP." in said


def test_a_hostile_name_stays_text(make_result):
    result = replace(
        make_result(warnings=(ScreeningWarning("x", HOSTILE),)),
        model=ModelSummary(HOSTILE, HOSTILE, "0" * 64, (HOSTILE,)),
        device=HOSTILE,
        versions={HOSTILE: HOSTILE},
    )
    page = Page(report_html(result))
    assert "script" not in page.tags
    assert page.words.count(HOSTILE) == 7
    assert not any("evil" in (value or "") for _, value in page.attributes)


def test_a_slice_without_lung_is_reported_as_not_screened(make_result):
    result = make_result(slices=slice(14, 15))
    bare = replace(
        result.slices[0],
        informative=False,
        screened=False,
        p_lesion=None,
        probabilities=None,
        predicted=None,
        crop=None,
    )
    empty = replace(result, slices=(bare,))
    assert headline(empty).startswith("Not screened")
    assert "Not screened" in Page(report_html(empty)).words


def test_the_key_slices_are_the_most_telling_ones_under_their_stored_numbers(make_result):
    for direction in ((1, 0, 0, 0, 1, 0, 0, 0, 1), (1, 0, 0, 0, 1, 0, 0, 0, -1)):
        result = make_result(direction=direction)
        said = Page(report_html(result)).words
        found = [said.index(f"Slice {i} ") for i in most_telling_slices(result.to_dict(), 3)]
        assert found == sorted(found)


@pytest.mark.parametrize(
    ("share", "words"),
    [(0, "0.0 %"), (0.0001, "< 0.1 %"), (0.1234, "12.3 %"), (0.9999, "> 99.9 %"), (1, "100.0 %")],
)
def test_a_percentage_is_never_a_false_0_or_100(share, words):
    assert percent(share).replace("\N{NO-BREAK SPACE}", " ") == words


def test_no_two_lines_of_the_chart_look_alike_without_colour(make_result):
    chart = along_volume(make_result())
    dashes = re.findall(r'stroke-dasharray="([^"]*)"', chart)
    assert len(dashes) == 9  # P(lesion), four classes, four samples in the legend
    assert len(set(dashes[1:5])) == 4
    assert dashes[1:5] == dashes[5:]
