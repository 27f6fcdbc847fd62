"""Every text of the module can be found by Qt's tool for translators, under one context."""

import ast
import re
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import PySide6
import pytest

MODULE = Path(__file__).parents[2] / "M3LungScreen"
CONTEXT = "M3LungScreen"
SLICER_CONTEXT = "qSlicerAbstractCoreModule"
SOURCES = sorted(MODULE.rglob("*.py"))


def calls_of_translate(path):
    """The calls of `translate` in a file, as syntax trees."""
    tree = ast.parse(path.read_text("utf-8"))
    calls = [each for each in ast.walk(tree) if isinstance(each, ast.Call)]
    return [e for e in calls if isinstance(e.func, ast.Name) and e.func.id == "translate"]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What lupdate finds: {context: [text]}."""
    tool = Path(PySide6.__file__).with_name("lupdate")
    if not tool.is_file():
        pytest.skip("PySide6 has no lupdate here")
    out = tmp_path_factory.mktemp("texts") / "module_de.ts"
    form = MODULE / "Resources" / "UI" / "M3LungScreen.ui"
    command = [tool, *SOURCES, form, "-ts", out]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "warning" not in done.stderr.lower()
    contexts = ET.parse(out).getroot().findall("context")
    return {each.findtext("name"): [text.text for text in each.iter("source")] for each in contexts}


def test_texts_are_marked_by_literals_of_one_context():
    for path in SOURCES:
        assert not re.search(r"import tr\b", path.read_text("utf-8")), path
        for call in calls_of_translate(path):
            context, text = call.args
            assert isinstance(context, ast.Constant), ast.unparse(call)
            assert context.value in (CONTEXT, SLICER_CONTEXT)
            assert isinstance(text, ast.Constant), f"{path.name}: {ast.unparse(call)}"


def test_the_translators_tool_finds_every_text(found):
    marked = {
        call.args[1].value
        for path in SOURCES
        for call in calls_of_translate(path)
        if call.args[0].value == CONTEXT
    }
    assert len(marked) > 100
    assert marked <= set(found[CONTEXT])
    assert set(found) == {CONTEXT, SLICER_CONTEXT}


def test_a_value_in_a_text_has_a_name(found):
    for text in found[CONTEXT]:
        assert all(name.isidentifier() for name in re.findall(r"\{([^{}]*)\}", text)), text
