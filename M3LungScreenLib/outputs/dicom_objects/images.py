"""The lesions as a DICOM segmentation, and the location map as a parametric map."""

from typing import Any

import highdicom as hd
import numpy as np
from highdicom.seg import SegmentationTypeValues, SegmentDescription

from M3LungScreenLib.classes import CATEGORY, CLASSES, LUNG
from M3LungScreenLib.location_map import LocationMap, values_of
from M3LungScreenLib.outputs.dicom_objects.codes import RATIO, concept, private
from M3LungScreenLib.outputs.dicom_objects.equipment import RESEARCH_USE, algorithm_of, series_of
from M3LungScreenLib.outputs.dicom_objects.source import Source
from M3LungScreenLib.result import Result


def segmentation(result: Result, source: Source) -> hd.seg.Segmentation:
    """One binary segment for each disease (numbers as in lesions.nrrd), on the source's voxels.

    Only slices with lesion have frames; without any, the middle slice has empty ones.
    """
    labels = result.volume.in_stored_order(result.arrays.lesions)
    shown = _with_content(labels)
    return hd.seg.Segmentation(
        source_images=source.images,
        pixel_array=np.ascontiguousarray(labels[shown]),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[_segment(result, index) for index in (1, 2, 3)],
        content_label="LESIONS",
        content_description=RESEARCH_USE,
        **_on_voxels(source, shown),
        **series_of(result, 0, "M3LungScreen: lesions by disease"),
    )


def parametric_map(result: Result, source: Source) -> hd.pm.ParametricMap:
    """The lesion location map, float32 in [0, 1]; slices without lung have no frame."""
    stored = result.arrays.lesion_location_map
    steps = stored.steps if isinstance(stored, LocationMap) else stored
    slices = result.volume.in_stored_order(steps)
    shown = _with_content(slices)
    values = values_of(slices[shown]) if isinstance(stored, LocationMap) else slices[shown]
    mapping = hd.pm.RealWorldValueMapping(
        lut_label="LESION",
        lut_explanation="Lesion location map, 0 to 1",
        unit=concept(RATIO),
        value_range=(0.0, 1.0),
        slope=1.0,
        intercept=0.0,
        quantity_definition=private("LESIONLOCATION", "Lesion location map"),
    )
    return hd.pm.ParametricMap(
        source_images=source.images,
        pixel_array=np.ascontiguousarray(values, np.float32),
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[mapping],
        voi_lut_transformations=[hd.VOILUTTransformation(window_center=0.5, window_width=1.0)],
        content_label="LESION_MAP",
        content_description=RESEARCH_USE,
        **_on_voxels(source, shown),
        **series_of(result, 1, "M3LungScreen: lesion location map"),
    )


def _with_content(slices: np.ndarray) -> np.ndarray:
    """Indices of the slices that are not all 0; the middle one if all are."""
    shown = np.flatnonzero([each.any() for each in slices])
    return shown if len(shown) else np.array([len(slices) // 2])


def _on_voxels(source: Source, shown: np.ndarray) -> dict[str, Any]:
    return {
        "pixel_measures": source.pixel_measures,
        "plane_orientation": source.plane_orientation,
        "plane_positions": [source.plane_position(int(k)) for k in shown],
    }


def _segment(result: Result, index: int) -> SegmentDescription:
    disease = CLASSES[index]
    return SegmentDescription(
        segment_number=index,
        segment_label=disease.name,
        segmented_property_category=concept(CATEGORY),
        segmented_property_type=concept(disease.code),
        algorithm_type="AUTOMATIC",
        algorithm_identification=algorithm_of(result),
        tracking_id=f"M3LungScreen {disease.name}",
        tracking_uid=hd.UID(),
        anatomic_regions=[concept(LUNG)],
        display_color=hd.color.CIELabColor.from_rgb(*_rgb(disease.color)),
    )


def _rgb(color: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(color.removeprefix("#"))
    return red, green, blue
