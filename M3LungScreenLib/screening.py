"""The paper's Figure 3, read from top to bottom: a CT volume in, a result out."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from M3LungScreenLib.bundle import Bundle
from M3LungScreenLib.chest import Chest, prepare
from M3LungScreenLib.classes import CLASS_KEYS
from M3LungScreenLib.ct import CTVolume
from M3LungScreenLib.engines.choice import EngineName
from M3LungScreenLib.engines.interface import Engine
from M3LungScreenLib.events import Listener, ignore
from M3LungScreenLib.involvement import measure_involvement
from M3LungScreenLib.localization import label_map, location_volume
from M3LungScreenLib.patient_assessment import assess_patient, provisional
from M3LungScreenLib.preprocessing import Crop, network_input
from M3LungScreenLib.provenance import Stopwatch
from M3LungScreenLib.result import Arrays, PatientResult, Result
from M3LungScreenLib.result_assembly import Findings, assemble
from M3LungScreenLib.schedule import chunks, first_look, nearest_screened, remaining
from M3LungScreenLib.screening_run import Detail, Run, choose_engine, tell
from M3LungScreenLib.slice_averaging import ScreenedSlice, mean_over_windows, with_neighbours

SLICES_PER_BATCH = 8


def screen(
    volume: CTVolume,
    bundle: Bundle,
    *,
    device: str = "auto",
    detail: Detail = "full",
    progress: Listener = ignore,
    cancelled: Callable[[], bool] = lambda: False,
    engine: EngineName | Engine = "auto",
    chest: Chest | None = None,
) -> Result:
    """Screen a chest CT with a model bundle (Section IV-A, inference).

    `detail='preview'` screens at most 24 slices, spread over the lungs, in the middle
    display window, and adds a warning that the result is a preview. `progress` receives
    events.Progress and, for volumes, one Provisional; `cancelled` is called between batches.
    `engine` is 'auto', 'onnx' (CPU only) or 'pytorch'; or one already loaded, which overrides
    `device`. `chest` is `volume` already prepared with the bundle's settings. If a GPU runs out of
    memory, the CPU takes over after a Notice. Raises InputRefused if this is not a chest CT in HU,
    ModelRefused if the bundle's weights do not fit its settings, UsageError for a device or engine
    that is not available, Cancelled.
    """
    clock = Stopwatch()
    with clock.step("preprocess"):
        tell_preprocess = partial(tell, progress, cancelled, "preprocess")
        chest = chest or prepare(volume, bundle.settings.preprocessing, tell_preprocess)
    with clock.step("slice_network"):
        if isinstance(engine, str):
            engine = choose_engine(bundle, device, engine, progress)
        run = Run(bundle, engine, detail, progress, cancelled)
        sigma = run.neighbour_sigma(chest)
        screened = with_neighbours(screen_slices(chest, run), volume.slice_count, sigma)
    with clock.step("patient_network"):
        run.tell("patient_network", 0, 1)
        patient, weights = None, dict[int, float]()
        if volume.slice_count > 1:
            patient, weights = assess_patient(screened, chest, run)
        run.tell("patient_network", 1, 1)
    with clock.step("localization"):
        run.tell("localization", 0, 1)
        arrays = localize(chest, screened, patient, run)
        involvement = measure_involvement(
            volume.hu, arrays.lesions, arrays.lungs, volume.spacing_mm
        )
        run.tell("localization", 1, 1)
    found = Findings(screened, patient, weights, arrays, involvement)
    return assemble(chest, found, run, clock)


def screen_slices(chest: Chest, run: Run) -> dict[int, ScreenedSlice]:
    """Every informative slice (in a preview, a first look at 24) by axial index.

    After the first look at a volume, a provisional verdict is reported.
    """
    first = first_look(chest.informative)
    rest = [] if run.detail == "preview" else remaining(chest.informative, first)
    total = len(first) + len(rest)
    batches = chunks(first, SLICES_PER_BATCH) + chunks(rest, SLICES_PER_BATCH)
    screened: dict[int, ScreenedSlice] = {}
    for slices, images in zip(batches, _images_of(batches, chest, run), strict=True):
        run.tell("slice_network", len(screened), total)
        screened |= _screen_batch(slices, images, run)
        if len(screened) == len(first) and chest.volume.slice_count > 1:
            run.progress(provisional(screened, chest, run))
    run.tell("slice_network", total, total)
    return screened


def _images_of(batches: list[list[int]], chest: Chest, run: Run) -> Iterator[np.ndarray]:
    """The images of each batch; those of the next are made while a batch is screened."""
    crops = crops_of(chest)

    def images(slices: list[int]) -> np.ndarray:
        return np.concatenate(
            [network_input(chest.volume.hu[k], crops[k], run.settings) for k in slices]
        )

    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(images, batches[0])
        for following in batches[1:]:
            ready, coming = coming.result(), thread.submit(images, following)
            yield ready
        yield coming.result()


def _screen_batch(slices: list[int], images: np.ndarray, run: Run) -> dict[int, ScreenedSlice]:
    out = run.engine.run_slices(images)
    windows = len(run.settings.window_centers_hu)
    averaged = mean_over_windows(out, windows, run.bundle.settings.assessment)
    return dict(zip(slices, averaged, strict=True))


def crops_of(chest: Chest) -> dict[int, Crop]:
    """The crops of the informative slices, by axial index."""
    return {k: crop for k, crop in enumerate(chest.crops) if crop is not None}


def localize(
    chest: Chest, screened: dict[int, ScreenedSlice], patient: PatientResult | None, run: Run
) -> Arrays:
    """Lesion location map and lesion labels; an unscreened slice takes those of the nearest one."""
    source = {k: screened[nearest_screened(k, screened)] for k in chest.informative}
    maps = {k: each.location_map for k, each in source.items()}
    sigma = run.neighbour_sigma(chest)
    location = location_volume(maps, crops_of(chest), chest.lungs, sigma)
    p = np.zeros((chest.volume.slice_count, len(CLASS_KEYS)))
    for k, each in source.items():
        p[k] = each.probabilities
    of_patient = patient.probabilities.as_array() if patient else None
    threshold = run.bundle.settings.localization.threshold
    labels = label_map(location, chest.lungs, p, of_patient, threshold)
    return Arrays(location, labels, chest.lungs)
