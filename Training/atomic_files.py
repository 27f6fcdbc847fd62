"""Files written whole or not at all, and the folder of an unfinished run."""

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from M3LungScreenLib.writing import writer_errors


def work_beside(out: Path) -> Path:
    """Folder where finished cases of a run into `out` are kept until all are done."""
    out = out.resolve()
    return out.parent / f".{out.name}-cases"


def kept_name(case_id: str) -> str:
    """File name for a case; an identifier may contain any character."""
    return quote(case_id, safe="")


def write_atomically(path: Path, content: Any) -> None:
    """Write JSON, whole or not at all."""
    write_text(path, json.dumps(content, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write text, whole or not at all; until then the old file stays."""
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
