"""The form against the code that names its parts and the widgets it is made of."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

MODULE = Path(__file__).parents[2] / "M3LungScreen"
FORM = MODULE / "Resources" / "UI" / "M3LungScreen.ui"


def test_every_widget_that_the_code_names_is_in_the_form():
    names = {each.get("name") for each in ET.parse(FORM).iter("widget")}
    sources = "\n".join(
        p.read_text("utf-8") for p in (MODULE / "M3LungScreenSlicer/panel").glob("*.py")
    )
    used = set(re.findall(r"\bui\.(\w+)", sources))
    assert len(used) > 30
    assert used <= names


def test_every_parameter_in_the_form_is_one_of_the_parameter_node(window):
    from M3LungScreenSlicer.panel.parameters import M3LungScreenParameterNode

    bound = [
        each.findtext("string")
        for each in ET.parse(FORM).iter("property")
        if each.get("name") == "SlicerParameterName"
    ]
    assert len(bound) == len(set(bound)) > 6
    assert set(bound) <= set(M3LungScreenParameterNode.allParameters)


def test_every_mrml_widget_of_the_form_gets_the_scene():
    form = ET.parse(FORM)
    needing = {e.get("name") for e in form.iter("widget") if e.get("class") == "qMRMLNodeComboBox"}
    connected = {each.findtext("receiver") for each in form.iter("connection")}
    assert needing == connected


def test_every_property_of_the_form_is_one_of_its_widget(window):
    import ctk
    import qt
    import slicer

    for each in ET.parse(FORM).iter("widget"):
        kind = next(
            getattr(place, each.get("class"))
            for place in (qt, ctk, slicer)
            if hasattr(place, each.get("class"))
        )
        for given in each.findall("property"):
            name = given.get("name")
            assert name == "SlicerParameterName" or name in kind._qt_properties, name


def test_every_button_has_a_tooltip_or_plain_words():
    for each in ET.parse(FORM).iter("widget"):
        if each.get("class") in ("QPushButton", "QToolButton", "QComboBox", "QCheckBox"):
            properties = {p.get("name") for p in each.findall("property")}
            assert "toolTip" in properties, each.get("name")
