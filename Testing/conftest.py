"""Results without a network: plausible numbers on a small made-up chest, for tests of outputs."""

from collections.abc import Callable
from dataclasses import replace

import hypothesis
import numpy as np
import pytest
from scipy import ndimage

from M3LungScreenLib.assessment import count_slices, decide
from M3LungScreenLib.classes import CLASS_KEYS
from M3LungScreenLib.ct import CTVolume, Geometry
from M3LungScreenLib.engines.interface import EngineSummary
from M3LungScreenLib.involvement import lung_volumes_ml, measure_involvement, slice_involvement
from M3LungScreenLib.provenance import package_versions
from M3LungScreenLib.result import (
    Arrays,
    ClassProbabilities,
    InputSummary,
    ModelSummary,
    PatientResult,
    Result,
    ScreeningWarning,
    SliceResult,
    Timing,
)
from M3LungScreenLib.settings import ModelSettings, to_dict

# How long an example takes says more of the machine than of the code.
hypothesis.settings.register_profile("project", deadline=None)
hypothesis.settings.load_profile("project")

SHAPE = (30, 40, 56)


def small_chest(shape: tuple[int, int, int] = SHAPE) -> tuple[np.ndarray, np.ndarray]:
    """HU int16 and lungs uint8 (1 right, 2 left), `[slice, row, column]`, LPS axial."""
    k, row, column = np.indices(shape) / np.reshape(shape, (3, 1, 1, 1))
    body = (row - 0.5) ** 2 / 0.2 + (column - 0.5) ** 2 / 0.22 < 1
    hu = np.where(body, 40, -1000).astype(np.int16)
    lungs = np.zeros(shape, np.uint8)
    for side, middle in ((1, 0.3), (2, 0.7)):
        inside = (row - 0.5) ** 2 / 0.08 + (column - middle) ** 2 / 0.02 < 1
        lungs[inside & (np.abs(k - 0.5) < 0.42)] = side
    hu[lungs > 0] = -850
    return hu, lungs


def small_lesions(lungs: np.ndarray, class_index: int) -> np.ndarray:
    """A ball of lesion in the right lung's middle, uint8 class index like `lungs`."""
    lesions = np.zeros_like(lungs)
    if class_index:
        center = [round(each) for each in ndimage.center_of_mass(lungs == 1)]
        distance = np.sqrt(
            sum((a - b) ** 2 for a, b in zip(np.indices(lungs.shape), center, strict=True))
        )
        lesions[(distance < 6) & (lungs == 1)] = class_index
    return lesions


def plausible_result(
    volume: CTVolume,
    lungs: np.ndarray,
    lesions: np.ndarray,
    *,
    patient: np.ndarray,
    screened: Callable[[int], bool] = lambda k: True,
    warnings: tuple[ScreeningWarning, ...] = (),
    seed: int = 0,
) -> Result:
    """What screening might say of `lesions`; `patient` are its four probabilities."""
    settings, rng = ModelSettings(), np.random.default_rng(seed)
    share = slice_involvement(lesions, lungs)
    slices = []
    for k in range(volume.slice_count):
        bare = SliceResult(volume.stored_slice_index(k), volume.slice_position_mm(k), False, False)
        if lungs[k].any():
            bare = _with_lung(bare, lungs[k], float(share[k]))
            bare = _screened(bare, lesions[k], rng) if screened(k) else bare
        slices.append(bare)
    chosen = [each for each in slices if each.screened]
    slices = [replace(e, weight=1 / len(chosen)) if e.screened else e for e in slices]
    p = np.stack([each.probabilities.as_array() for each in chosen])
    counted = count_slices(p, settings.assessment.healthy_fraction_threshold)
    verdict = decide(patient, counted, settings.assessment)
    location = ndimage.gaussian_filter((lesions > 0).astype(np.float32), 1.5) * (lungs > 0)
    detail = "full" if all(e.screened for e in slices if e.informative) else "preview"
    return Result(
        input=InputSummary(
            volume.kind,
            volume.stored.size,
            volume.stored.spacing_mm,
            (int(volume.hu.min()), int(volume.hu.max())),
            volume.series_uid_sha256,
        ),
        model=ModelSummary("compact", "0.1", "ab" * 32, ("Trained on made-up lesions.",)),
        settings={
            "detail": detail,
            "window_centers_hu": [-700, -600, -500],
            "slices_screened": len(chosen),
            "slices_informative": sum(each.informative for each in slices),
            "model": to_dict(settings),
        },
        patient=PatientResult(
            ClassProbabilities.of(patient),
            verdict.predicted,
            verdict.verdict,
            verdict.reasons,
            counted,
            verdict.agreement,
            spread_over_windows=0.0,
            logits=tuple(map(float, np.log(np.maximum(patient, 1e-9)))),
            temperature=1.0,
        )
        if volume.slice_count > 1
        else None,
        slices=tuple(sorted(slices, key=lambda each: each.index)),
        involvement=measure_involvement(volume.hu, lesions, lungs, volume.spacing_mm),
        lung_volume_ml=lung_volumes_ml(lungs, volume.spacing_mm),
        warnings=warnings,
        timing_s=Timing(1.0, 2.0, 30.0, 0.1, 1.5, 0.0, 34.6),
        peak_memory_mb=812.0,
        device="cpu",
        engine=EngineSummary("onnx", "1.32.0", "float32"),
        versions=package_versions(),
        volume=volume,
        arrays=Arrays(np.clip(location, 0, 1), lesions, lungs),
    )


def _with_lung(bare: SliceResult, lung: np.ndarray, share: float) -> SliceResult:
    rows, columns = np.flatnonzero(lung.any(axis=1)), np.flatnonzero(lung.any(axis=0))
    height, width = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
    crop = (int(rows[0]), int(columns[0]), height, width)
    return replace(bare, informative=True, crop=crop, involvement=share)


def _screened(bare: SliceResult, lesion: np.ndarray, rng: np.random.Generator) -> SliceResult:
    called = int(lesion.max())
    p_lesion = float(np.clip((0.9 if called else 0.05) + rng.normal(0, 0.03), 0.001, 0.999))
    classes = np.full(4, 0.04)
    classes[called or 1] = 0.88
    p = p_lesion * classes
    p[0] += 1 - p_lesion
    return replace(
        bare,
        screened=True,
        p_lesion=p_lesion,
        probabilities=ClassProbabilities.of(p),
        predicted=CLASS_KEYS[int(p.argmax())],
    )


@pytest.fixture(scope="session")
def make_result() -> Callable[..., Result]:
    """make_result(called, top=0.92, stored=None, slices=30, **plausible_result's options).

    `stored` is an image (any content) of the small chest's size in whose geometry
    and orientation the volume came.
    """

    def make(
        called: str = "covid19",
        top: float = 0.92,
        *,
        spacing_mm: tuple[float, float, float] = (6.0, 7.5, 9.0),
        origin_mm: tuple[float, float, float] = (-168.3, 12.7, 1043.1),
        direction: tuple[float, ...] = (1, 0, 0, 0, 1, 0, 0, 0, 1),
        slices: slice = slice(None),
        **options: object,
    ) -> Result:
        hu, lungs = (array[slices].copy() for array in small_chest())
        index = CLASS_KEYS.index(called)
        volume = volume_of(hu, spacing_mm, origin_mm, direction)
        patient = np.full(4, (1 - top) / 3)
        patient[index] = top
        return plausible_result(
            volume, lungs, small_lesions(lungs, index), patient=patient, **options
        )

    return make


def volume_of(
    hu: np.ndarray,
    spacing_mm: tuple[float, float, float],
    origin_mm: tuple[float, float, float],
    direction: tuple[float, ...],
) -> CTVolume:
    """A volume that was stored with `direction` and whose LPS axial array is `hu`."""
    import SimpleITK as sitk

    nearest = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(direction)
    image = sitk.GetImageFromArray(hu)
    order = sitk.GetArrayFromImage(sitk.DICOMOrient(image, nearest))
    stored = Geometry(order.shape[::-1], spacing_mm, origin_mm, tuple(map(float, direction)))
    return CTVolume.from_image(stored.with_array(order), kind="array")
