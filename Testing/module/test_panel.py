"""The panel in every state: its words against the result, and its pictures."""

import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def wording(window):
    from M3LungScreenSlicer.panel import wording

    return wording


@pytest.fixture
def ui(window):
    """The form's widgets, in a window that is shown offscreen."""
    import slicer

    form = slicer.util.loadUI(str(ROOT / "M3LungScreen" / "Resources" / "UI" / "M3LungScreen.ui"))
    form.show()
    yield slicer.util.childWidgetVariables(form)
    form.hide()
    form.deleteLater()


@pytest.fixture
def verdict(ui):
    from M3LungScreenSlicer.panel.verdict import VerdictPanel

    return VerdictPanel(ui)


def pixels(widget):
    """What a widget looks like, `[row, column, 4]` uint8 (blue, green, red, alpha)."""
    image = widget.grab().toImage().convertToFormat(sys.modules["qt"].QImage.Format_ARGB32)
    shape = (image.height(), image.width(), 4)
    return np.frombuffer(image.constBits(), np.uint8).reshape(shape).copy()


def test_a_healthy_verdict_reads_no_pneumonia_pattern_found(wording, make_result):
    assert "No pneumonia pattern found" in wording.headline(make_result("healthy").to_dict())


def test_an_indeterminate_verdict_gives_its_reasons(wording, make_result):
    content = make_result("cap", 0.44).to_dict()
    assert "Indeterminate" in wording.headline(content)
    assert wording.certainty(content) == content["patient"]["reasons"][0]


def test_an_indeterminate_verdict_is_never_said_to_be_agreed_on(wording, make_result):
    said = wording.slice_count(make_result("cap", 0.42).to_dict())
    assert "agree" not in said
    assert "most likely class is <b>CAP</b>, but there is no verdict." in said


def test_two_assessments_that_differ_are_said_to_disagree(wording, make_result):
    content = make_result("covid19").to_dict()
    assert "Both assessments agree" in wording.slice_count(content)
    content["patient"] |= {"agreement": False, "predicted": "cap"}
    assert "The two assessments disagree: the network says <b>CAP</b>." in wording.slice_count(
        content
    )


def test_verdicts_are_the_librarys_words(wording):
    from M3LungScreenLib.classes import CLASSES

    for each in CLASSES:
        assert wording.verdict_text(each.key) == each.verdict[0].upper() + each.verdict[1:]


def test_three_lines_tell_of_the_model_the_rest_is_behind_details(verdict, ui, make_result):
    content = make_result("cap").to_dict()
    verdict.show_result(content)
    document = sys.modules["qt"].QTextDocument()
    document.setHtml(ui.originLabel.text)
    count = content["settings"]["slices_informative"]
    assert (
        document.toPlainText().split()
        == (
            f"Model compact 0.1 Screened {count} of {count} slices with lung Time 35 s on the CPU"
        ).split()
    )
    assert ui.originLabel.text.count("<tr>") == 3
    assert not ui.originDetailsLabel.visible
    ui.originDetailsButton.click()
    assert ui.originDetailsLabel.visible
    assert content["model"]["notes"][0] in ui.originDetailsLabel.text
    verdict.show_nothing()
    assert not ui.originDetailsButton.visible
    assert not ui.originDetailsLabel.visible


def test_every_number_of_the_involvement_is_in_its_table(wording, make_result):
    content = make_result("covid19").to_dict()
    table = wording.involvement(content)
    for side in ("right", "left", "total"):
        for share in content["involvement"][side].values():
            assert f">{wording.share_text(share)}<" in table
    assert f"<b>{content['involvement']['severity_score']}</b> of 24" in table


def test_words_from_outside_cannot_become_markup(wording, make_result):
    from M3LungScreenLib.result import ScreeningWarning

    content = make_result("cap", warnings=(ScreeningWarning("odd", "1 < 2 <img src=x>"),)).to_dict()
    content["model"] |= {"name": "<b>", "notes": ["<i>"]}
    assert "&lt;img" in wording.warnings(content)
    assert "&lt;b&gt;" in wording.origin(content)
    assert "&lt;i&gt;" in wording.origin_details(content)


def test_a_share_near_zero_does_not_swallow_the_rest_of_a_line(wording, make_result):
    content = make_result("covid19", 0.9999).to_dict()
    document = sys.modules["qt"].QTextDocument()
    document.setHtml(wording.certainty(content))
    assert document.toPlainText() == "COVID-19 > 99.9 %, followed by Healthy < 0.1 %."


def test_each_class_has_a_sign_of_its_own_shape(wording):
    from M3LungScreenLib.classes import CLASS_KEYS

    assert set(wording.SIGNS) == set(CLASS_KEYS)
    assert len(set(wording.SIGNS.values())) == 4


def test_the_rest_of_a_run_is_told_in_seconds_then_minutes(wording):
    assert wording.step("slice_network", None) == "Classifying the slices…"
    assert wording.step("write", 24.4) == "Writing the result, about 24 s left"
    assert wording.step("read", 200.0) == "Reading the CT, about 3 min left"


def test_every_step_of_the_library_has_words(wording):
    from M3LungScreenLib.events import STEPS

    assert set(STEPS) <= set(wording.steps())


def test_bars_are_as_long_as_the_probabilities(verdict, ui, make_result):
    content = make_result("h1n1", 0.7).to_dict()
    verdict.show_result(content)
    for key, share in content["patient"]["probabilities"].items():
        assert getattr(ui, f"{key}Bar").value == round(1000 * share)
        assert getattr(ui, f"{key}Number").text == f"{100 * share:.1f}\N{NO-BREAK SPACE}%"


def test_a_bar_is_drawn_in_the_color_of_its_class(verdict, ui, make_result, window):
    from M3LungScreenLib.classes import class_by_key

    verdict.show_result(make_result("covid19").to_dict())
    window.processEvents()
    bar = pixels(ui.covid19Bar)
    red, green, blue = (int(class_by_key("covid19").color[i : i + 2], 16) for i in (1, 3, 5))
    middle = bar[bar.shape[0] // 2, bar.shape[1] // 2, :3]
    assert np.abs(middle.astype(int) - (blue, green, red)).max() < 40


def test_unverified_classes_say_so_beside_their_bars(verdict, ui, make_result):
    content = make_result("covid19").to_dict()
    content["model"]["unverified"] = ["h1n1"]
    verdict.show_result(content)
    assert "unverified" in ui.h1n1Note.text
    assert ui.covid19Note.text == ""
    assert "never verified on real CT" in ui.unverifiedLabel.text


def test_one_slice_has_no_verdict_on_a_patient(verdict, ui, make_result):
    verdict.show_result(make_result("covid19", slices=slice(15, 16)).to_dict())
    assert "in this slice" in ui.verdictLabel.text
    assert ui.sureLabel.text == "This result is for one slice; it is not a verdict on the patient."
    assert not ui.countLabel.visible


def test_an_empty_panel_shows_no_bars(verdict, ui):
    assert ui.verdictLabel.text == "<b>No result yet.</b>"
    assert not ui.barsWidget.visible
    assert ui.researchLabel.visible


def test_a_provisional_verdict_says_that_it_is_one(verdict, ui):
    from Testing.stand_ins.screening import PROVISIONAL

    verdict.show_provisional(PROVISIONAL, ("cap",))
    assert "Pattern of COVID-19 pneumonia" in ui.verdictLabel.text
    assert "Provisional, based on 12 slices" in ui.sureLabel.text
    assert ui.covid19Bar.value == 810
    assert "unverified" in ui.capNote.text
    assert ui.covid19Note.text == ""


@pytest.mark.parametrize("called", ["healthy", "covid19", "h1n1", "cap"])
def test_no_text_of_a_result_is_cut_off(verdict, ui, make_result, window, called):
    verdict.show_result(make_result(called).to_dict())
    form = ui.verdictLabel.window()
    form.resize(430, form.sizeHint.height())
    for _ in range(4):
        window.processEvents()
    for name in ("verdictLabel", "sureLabel", "countLabel", "involvementLabel", "originLabel"):
        label = getattr(ui, name)
        assert label.height >= label.heightForWidth(label.width)
        assert label.geometry.right() <= form.width


def test_headline_is_readable_in_a_dark_theme(verdict, ui, make_result, window):
    from Testing.stand_ins.themes import dark

    form = ui.verdictLabel.window()
    form.setPalette(dark())
    verdict.show_result(make_result("healthy").to_dict())
    window.processEvents()
    brightness = pixels(ui.verdictLabel)[..., :3].mean(axis=-1)
    assert np.median(brightness) < 80
    assert brightness.max() > 200
