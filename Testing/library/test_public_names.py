import subprocess
import sys

import pytest

import M3LungScreenLib
from M3LungScreenLib.classes import CLASS_KEYS, CLASSES, class_by_key
from M3LungScreenLib.events import Failed, Finished, Progress, Provisional, to_json


@pytest.mark.parametrize("name", M3LungScreenLib.__all__)
def test_every_public_name_is_there(name):
    assert getattr(M3LungScreenLib, name) is not None


def test_the_list_of_public_names_is_the_one_that_is_imported_lazily():
    assert sorted(M3LungScreenLib.__all__) == sorted(M3LungScreenLib._HOME)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'scren'"):
        M3LungScreenLib.scren  # noqa: B018


def test_nothing_heavy_is_imported_with_the_library():
    code = "import M3LungScreenLib.__main__, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_classes_stand_in_the_papers_order():
    assert CLASS_KEYS == ("healthy", "covid19", "h1n1", "cap")
    assert [each.index for each in CLASSES] == [0, 1, 2, 3]
    assert class_by_key("cap").name == "CAP"
    with pytest.raises(KeyError, match="healthy, covid19, h1n1, cap"):
        class_by_key("flu")


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (Progress("read", 1, 2), '{"event": "progress", "step": "read", "done": 1, "total": 2}'),
        (Finished("out"), '{"event": "result", "path": "out"}'),
        (Failed("no_lungs", "No."), '{"event": "error", "kind": "no_lungs", "message": "No."}'),
    ],
)
def test_an_event_is_one_line_of_json(event, line):
    assert to_json(event) == line


def test_a_provisional_event_has_the_four_probabilities():
    line = to_json(Provisional("cap", "indeterminate", {"cap": 0.4}, 24))
    assert '"event": "provisional"' in line
    assert '"probabilities": {"cap": 0.4}' in line
