"""Screens one study of a batch: a result folder, or a refusal in its place."""

import json
import shutil
import time
import traceback
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from M3LungScreenLib.batch.studies import Study
from M3LungScreenLib.bundle import Bundle
from M3LungScreenLib.engines.interface import Engine
from M3LungScreenLib.errors import MEMORY_RAN_OUT, M3LungScreenError, memory_ran_out
from M3LungScreenLib.outputs.folder import RESULT_FILE, Output, complete_or_absent
from M3LungScreenLib.outputs.montage import slice_map
from M3LungScreenLib.outputs.pictures import view_of
from M3LungScreenLib.reading import read_ct
from M3LungScreenLib.result import Result
from M3LungScreenLib.screening import screen
from M3LungScreenLib.screening_run import Detail

REFUSAL_FILE = "refusal.json"
THUMBNAIL_FILE = "thumbnail.png"
THUMBNAIL_WIDTH = 160
REFUSAL = Output(REFUSAL_FILE, lambda plain: {"kind", "message"} <= set(plain), (REFUSAL_FILE,))


@dataclass(frozen=True)
class Refusal:
    """Why a study has no result; `kind` and `message` as in errors.py, 'crashed' for a bug."""

    kind: str
    message: str
    seconds: float = 0.0


@dataclass(frozen=True)
class BatchSettings:
    """What all studies of a batch share."""

    out: Path
    detail: Detail = "full"

    def folder_of(self, study: Study) -> Path:
        return self.out / "studies" / study.key

    def remove_unfinished(self) -> None:
        """Remove what a run that was killed left behind."""
        for each in self.out.glob("studies/.*"):
            shutil.rmtree(each)
        for each in (*self.out.glob(".*.part"), *self.out.glob("thumbnails/*.part")):
            each.unlink()

    def is_done(self, study: Study) -> bool:
        """Whether the study has a result or a refusal; both are written completely or not."""
        folder = self.folder_of(study)
        return (folder / RESULT_FILE).exists() or (folder / REFUSAL_FILE).exists()


def screen_study(study: Study, bundle: Bundle, engine: Engine, settings: BatchSettings) -> bool:
    """Screen and write one study; False if it was refused. One bad study never raises."""
    start = time.perf_counter()
    try:
        volume = read_ct(study.files or study.path)
        read_s = time.perf_counter() - start
        result = screen(volume, bundle, engine=engine, detail=settings.detail)
        timing = replace(result.timing_s, read=read_s, total=result.timing_s.total + read_s)
        folder = replace(result, timing_s=timing).write(settings.folder_of(study))
        _write_thumbnail(result, settings.out / "thumbnails" / f"{study.key}.png")
    except M3LungScreenError as wrong:
        refused = Refusal(wrong.kind, wrong.message, time.perf_counter() - start)
    except Exception as wrong:
        kind, message = _unforeseen(wrong)
        refused = Refusal(kind, message, time.perf_counter() - start)
    else:
        return folder.is_dir()
    write_refusal(refused, study, settings)
    return False


def write_refusal(refused: Refusal, study: Study, settings: BatchSettings) -> None:
    """A folder that holds only the reason; UsageError if it cannot be written."""
    with complete_or_absent(settings.folder_of(study), REFUSAL) as folder:
        (folder / REFUSAL_FILE).write_text(json.dumps(asdict(refused), indent=1) + "\n", "utf-8")


def _unforeseen(wrong: Exception) -> tuple[str, str]:
    if memory_ran_out(wrong):
        return "memory", MEMORY_RAN_OUT
    *_, last = traceback.extract_tb(wrong.__traceback__)
    place = f"{Path(last.filename).name}:{last.lineno}"
    return "crashed", f"The program failed on this study ({type(wrong).__name__} in {place})."


def _write_thumbnail(result: Result, path: Path) -> None:
    """The most suspicious slice with its map, small."""
    path.parent.mkdir(exist_ok=True)
    shown = result.most_telling_slices(1) or [result.volume.slice_count // 2]
    picture = slice_map(result, shown[0], view_of(result, THUMBNAIL_WIDTH), outline=True)
    unfinished = path.with_suffix(".part")
    picture.save(unfinished, "PNG")
    unfinished.replace(path)
