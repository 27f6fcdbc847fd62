"""Screens one study of a batch: a result folder, or a refusal in its place."""

import json
import shutil
import traceback
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from M3LungScreenLib.batch.studies import Study
from M3LungScreenLib.bundle import Bundle
from M3LungScreenLib.chest import Chest, prepare
from M3LungScreenLib.engines.interface import Engine
from M3LungScreenLib.errors import MEMORY_RAN_OUT, M3LungScreenError, memory_ran_out
from M3LungScreenLib.outputs.folder import RESULT_FILE, Output, complete_or_absent
from M3LungScreenLib.outputs.montage import slice_map
from M3LungScreenLib.outputs.pictures import view_of
from M3LungScreenLib.provenance import Stopwatch
from M3LungScreenLib.reading import read_ct
from M3LungScreenLib.result import Result
from M3LungScreenLib.screening import screen
from M3LungScreenLib.screening_run import Detail
from M3LungScreenLib.settings import PreprocessingSettings

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


@dataclass(frozen=True)
class Prepared:
    """A study that was read and whose lungs were found, and the seconds of both."""

    chest: Chest
    read_s: float
    preprocess_s: float


def prepare_study(study: Study, settings: PreprocessingSettings) -> Prepared | Refusal:
    """Read a study and find its lungs. One bad study never raises."""
    clock = Stopwatch()
    try:
        with clock.step("read"), study.opened() as place:
            volume = read_ct(place)
        with clock.step("preprocess"):
            chest = prepare(volume, settings)
    except Exception as wrong:
        return _refusal(wrong, clock.total)
    return Prepared(chest, clock.seconds["read"], clock.seconds["preprocess"])


def screen_study(
    study: Study,
    prepared: Prepared | Refusal,
    bundle: Bundle,
    engine: Engine,
    settings: BatchSettings,
) -> bool:
    """Screen and write one study; False if it is refused. One bad study never raises."""
    if isinstance(prepared, Refusal):
        write_refusal(prepared, study, settings)
        return False
    clock = Stopwatch()
    try:
        chest = prepared.chest
        result = screen(chest.volume, bundle, engine=engine, detail=settings.detail, chest=chest)
        before = prepared.read_s + prepared.preprocess_s
        timing = replace(
            result.timing_s,
            read=prepared.read_s,
            preprocess=prepared.preprocess_s,
            total=result.timing_s.total + before,
        )
        replace(result, timing_s=timing).write(settings.folder_of(study))
        _write_thumbnail(result, settings.out / "thumbnails" / f"{study.key}.png")
    except Exception as wrong:
        write_refusal(_refusal(wrong, clock.total), study, settings)
        return False
    return True


def write_refusal(refused: Refusal, study: Study, settings: BatchSettings) -> None:
    """A folder that holds only the reason; UsageError if it cannot be written."""
    with complete_or_absent(settings.folder_of(study), REFUSAL) as folder:
        (folder / REFUSAL_FILE).write_text(json.dumps(asdict(refused), indent=1) + "\n", "utf-8")


def _refusal(wrong: Exception, seconds: float) -> Refusal:
    if isinstance(wrong, M3LungScreenError):
        return Refusal(wrong.kind, wrong.message, seconds)
    if memory_ran_out(wrong):
        return Refusal("memory", MEMORY_RAN_OUT, seconds)
    *_, last = traceback.extract_tb(wrong.__traceback__)
    place = f"{type(wrong).__name__} in {Path(last.filename).name}:{last.lineno}"
    return Refusal("crashed", f"The program failed on this study ({place}).", seconds)


def _write_thumbnail(result: Result, path: Path) -> None:
    """The most suspicious slice with its map, small."""
    path.parent.mkdir(exist_ok=True)
    shown = result.most_telling_slices(1) or [result.volume.slice_count // 2]
    picture = slice_map(result, shown[0], view_of(result, THUMBNAIL_WIDTH), outline=True)
    unfinished = path.with_suffix(".part")
    picture.save(unfinished, "PNG")
    unfinished.replace(path)
