"""Lines from the parent process as commands; a malformed one is an error and changes nothing."""

import io
import json
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from M3LungScreenLib import worker
from M3LungScreenLib.worker_commands import Cancel, Malformed, Quit, Screen, command_of
from Testing.stand_ins.worker import GOOD, WaitingLines

BAD_LINES = {
    "": "",
    "no JSON": "screen please",
    "cut": '{"command": "screen", "run": 1',
    "a list": "[1, 2]",
    "a number": "3",
    "nested": "[" * 100_000,
    "no command": '{"run": 1}',
    "command of another type": '{"command": ["screen"], "run": 1}',
    "a run to cancel that is a list": '{"command": "cancel", "run": [1]}',
}


BAD_FIELDS = {
    "volume": [None, 3, ["v"]],
    "model": [None, True],
    "out": [None, {}],
    "device": [None, 0],
    "detail": ["quick", None],
    "run": [[1], {"a": 1}, 1.5],
    "geometry": [
        None,
        "here",
        [1],
        {},
        {"size": [96, 96, 30]},
        *(
            {**GOOD["geometry"], **wrong}
            for wrong in (
                {"size": [96, 96]},
                {"size": [96, 96, 0]},
                {"size": [96, 96, "30"]},
                {"spacing_mm": [1, 1, -8]},
                {"spacing_mm": [1, 1, float("nan")]},
                {"origin_mm": [0, 0, float("inf")]},
                {"direction": [1, 0, 0]},
            )
        ),
    ],
}


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_no_line_breaks_the_reading(line):
    assert command_of(line).__class__ in (Screen, Cancel, Quit, Malformed)


@pytest.mark.parametrize("key", BAD_FIELDS)
def test_a_field_that_is_missing_or_of_another_type_is_named(key):
    assert isinstance(command_of(json.dumps(GOOD)), Screen)
    for value in BAD_FIELDS[key]:
        told = command_of(json.dumps({**GOOD, key: value}))
        assert isinstance(told, Malformed), value
        assert key in told.message
        assert told.run == (None if key == "run" else 1)
    without = {name: value for name, value in GOOD.items() if name != key}
    if key in ("volume", "geometry", "model", "out"):
        assert f"lacks {key}" in command_of(json.dumps(without)).message


def test_a_malformed_line_is_an_error_and_the_worker_goes_on(a_command, engines):
    lines = [*BAD_LINES.values(), json.dumps(a_command(run=9))]
    out = io.StringIO()
    assert worker.serve(WaitingLines([f"{each}\n" for each in lines], out), out) == 0
    _, *events = map(json.loads, out.getvalue().splitlines())
    told, run = events[: len(BAD_LINES)], events[len(BAD_LINES) :]
    assert {(each["event"], each["kind"]) for each in told} == {("error", "command")}
    assert (run[-1]["event"], run[-1]["run"]) == ("result", 9)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_lines_that_cannot_be_read_end_the_worker():
    def broken():
        yield json.dumps({"command": "dance"}) + "\n"
        raise OSError("the pipe broke")

    out, before = io.StringIO(), set(threading.enumerate())
    assert worker.serve(broken(), out) == 0
    assert json.loads(out.getvalue().splitlines()[-1])["kind"] == "command"
    # What the reading thread raised belongs to this test, not to the next one.
    for thread in set(threading.enumerate()) - before:
        thread.join()
