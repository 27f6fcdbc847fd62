"""How a command shows progress: a bar, JSON lines for programs, or nothing.

A notice is shown in every style.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm

from M3LungScreenLib.classes import class_by_key
from M3LungScreenLib.events import Event, Listener, Notice, Progress, Provisional, to_json
from M3LungScreenLib.outputs.wording import percent

PROGRESS_STYLES = ("bar", "jsonl", "none")


@contextmanager
def listener_for(style: str) -> Iterator[Listener]:
    """A listener for one of PROGRESS_STYLES, open while the command runs."""
    if style == "bar":
        with ProgressBar() as bar:
            yield bar
    else:
        yield _print_line if style == "jsonl" else _print_notice


def _print_line(event: Event) -> None:
    print(to_json(event), flush=True)


def _print_notice(event: Event) -> None:
    if isinstance(event, Notice):
        tqdm.write(event.message, file=sys.stderr)  # without breaking a bar


class ProgressBar:
    """One bar on stderr, relabeled for each step."""

    def __init__(self) -> None:
        self._step = ""
        self._bar: tqdm = tqdm(
            bar_format="{desc:<40}{percentage:3.0f}% |{bar:30}| {remaining}",
            leave=False,
            disable=None,  # no bar in a log file
        )

    def __enter__(self) -> Listener:
        return self._hear

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def _hear(self, event: Event) -> None:
        if isinstance(event, Progress):
            name = event.step.replace("_", " ")
            if self._step != name:
                self._step = name
                self._bar.reset(event.total)
            self._bar.total = event.total
            self._bar.set_description_str(name, refresh=False)
            self._bar.update(event.done - self._bar.n)
        elif isinstance(event, Provisional):
            name = class_by_key(event.predicted).name
            tqdm.write(f"Provisional    {name} {percent(event.probabilities[event.predicted])}")
        else:
            _print_notice(event)
