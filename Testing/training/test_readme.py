"""Commands are understood as the READMEs print them: they get as far as the files, not there."""

import importlib
import shlex
from pathlib import Path

import pytest

from M3LungScreenLib.errors import M3LungScreenError

ROOT = Path(__file__).parents[2]
# The one that needs no file and would simulate for minutes.
LEFT_OUT = "Training.simulate_index"


def commands() -> list[list[str]]:
    """Module and arguments of each command of a script of Training."""
    found = []
    for name in ("README.md", "Training/README.md"):
        text = (ROOT / name).read_text("utf-8").replace("\\\n", " ")
        for block in text.split("```")[1::2]:
            for line in block.splitlines():
                _, module, arguments = line.partition("-m Training.")
                found += [shlex.split(f"Training.{arguments}")] if module else []
    return found


def test_readmes_print_every_script() -> None:
    scripts = {"index", "train_slice", "train_patient", "finetune_joint", "export", "calibrate"}
    assert {words[0] for words in commands()} >= {f"Training.{each}" for each in scripts}


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_command_of_a_readme_is_understood(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Training").symlink_to(ROOT / "Training")
    monkeypatch.chdir(tmp_path)
    module, *arguments = words
    if module == LEFT_OUT:
        return
    with pytest.raises(M3LungScreenError, match=r"[Tt]here (is|are) no|cannot be"):
        importlib.import_module(module).main(arguments)
