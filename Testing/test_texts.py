"""The list of texts that people read: none left out, each with its own line."""

import ast
import re
from pathlib import Path

import pytest

from Testing.texts import ROOT, main, texts_of

SCRIPT = """
'''Show a chest.'''
import argparse
NAMES = ("covid19", "cap_x")
def main():
    '''Not for users.'''
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", help="folder to write")
    if n < 8:
        raise InputRefused(
            "too_short", f"This series has {n} slice{'s' * (n > 1)}. "
            "Choose a longer one."
        )
    found = (("coarse", f"The pixels are {x:.1f} mm wide."),)
    button.setText(translate("M3LungScreen", "Screen"))
    print("done in", seconds)
    print(f"{folder}: written in {seconds} s")  # said once
    return "A last sentence."
"""


def found_in(folder: Path, name: str, content: str, **options: bool) -> list[tuple[int, str, str]]:
    (folder / name).write_text(content, "utf-8")
    return [each[1:] for each in texts_of(folder / name, **options)]


def test_texts_of_a_script_have_their_line_and_place(tmp_path: Path) -> None:
    assert found_in(tmp_path, "script.py", SCRIPT) == [
        (1, "command line", "Show a chest."),
        (8, "command line", "folder to write"),
        (11, "error", "This series has {n} slice{'s' * (n > 1)}. Choose a longer one."),
        (14, "warning", "The pixels are {x} mm wide."),
        (15, "panel", "Screen"),
        (16, "printed", "done in"),
        (17, "printed", "{folder}: written in {seconds} s"),
        (18, "text", "A last sentence."),
    ]


def test_docstrings_and_comments_are_listed_when_asked_for(tmp_path: Path) -> None:
    found = found_in(tmp_path, "script.py", SCRIPT, docstrings=True)
    assert (6, "docstring of main", "Not for users.") in found
    assert (17, "comment", "said once") in found


def test_labels_and_tooltips_of_a_form_are_listed(tmp_path: Path) -> None:
    form = """<ui>
<widget name="own"><property name="text">
<string>Screen &amp;all</string></property>
<property name="toolTip"><string>Screens every chest CT.</string></property>
<property name="objectName"><string>not seen at all</string></property></widget>
</ui>"""
    assert found_in(tmp_path, "form.ui", form) == [
        (3, "panel", "Screen &all"),
        (4, "panel", "Screens every chest CT."),
    ]


def test_a_template_is_listed_without_its_style_and_its_jinja(tmp_path: Path) -> None:
    page = """<style>p { color: red }</style>
{% if patient %}<p>The likeliest class is
{{ name }}.</p>{% endif %}
<td>{{ value }}</td>"""
    assert found_in(tmp_path, "page.html", page) == [
        (2, "report", "The likeliest class is {{ name }}.")
    ]


def test_notes_of_a_card_and_targets_of_a_makefile_are_listed(tmp_path: Path) -> None:
    card = '{\n "notes": [\n  "Trained on mice.",\n  "Never used."\n ]\n}'
    assert found_in(tmp_path, "model.json", card) == [
        (3, "card", "Trained on mice."),
        (4, "card", "Never used."),
    ]
    rules = "lint: all ## check the code\n\tpython -m ruff\n"
    assert found_in(tmp_path, "Makefile", rules) == [(1, "command line", "check the code")]


@pytest.mark.parametrize("folder", ["M3LungScreen", "M3LungScreenLib", "Training"])
def test_every_translated_text_and_every_refusal_of_the_project_is_listed(folder: str) -> None:
    listed = {(each.path, each.line) for each in texts_of(ROOT / folder)}
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            name = getattr(getattr(node, "func", None), "id", "")
            text = node.args[-1] if name in ("_", "InputRefused", "UsageError") else None
            parts = ast.walk(text) if text is not None else ()
            spoken = "".join(str(each.value) for each in parts if isinstance(each, ast.Constant))
            is_text = isinstance(text, ast.JoinedStr | ast.Constant) and re.search("[A-Z]", spoken)
            assert not is_text or (path, text.lineno) in listed, f"{path}:{node.lineno}"


def test_the_list_is_printed_with_paths_that_an_editor_opens(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main([str(ROOT / "Training")])
    lines = capsys.readouterr().out.splitlines()
    assert all(re.match(r"Training/[a-z_/]+\.py:\d+: \[", each) for each in lines)
    assert any("which is no earlier stage" in each for each in lines)
