"""What a stopped script has done, case by case, kept beside what it will write."""

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from M3LungScreenLib.writing import writer_errors


def work_beside(out: Path) -> Path:
    """Where the cases of a run into `out` are kept while it goes on."""
    out = out.resolve()
    return out.parent / f".{out.name}-cases"


def kept_name(case_id: str) -> str:
    """What a case's files are called; an identifier may hold any sign."""
    return quote(case_id, safe="")


def write_atomically(path: Path, content: Any) -> None:
    """JSON that is whole or absent."""
    write_text(path, json.dumps(content, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Text that is whole or absent; what was there stays until then."""
    part = path.with_suffix(".part")
    part.write_text(text, "utf-8")
    os.replace(part, path)


def save_tensors(state: Any, path: Path) -> None:
    """What torch saves, whole or absent; OSError where the disk refuses."""
    import torch

    part = path.with_suffix(".part")
    with writer_errors(part):
        torch.save(state, part)
    os.replace(part, path)
