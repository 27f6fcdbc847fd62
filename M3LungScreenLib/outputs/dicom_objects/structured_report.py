"""The result as a DICOM Comprehensive 3D SR (TID 1500 measurement report)."""

import highdicom as hd
from highdicom.sr import (
    AlgorithmIdentification,
    FindingSite,
    Measurement,
    MeasurementReport,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    RelationshipTypeValues,
    TextContentItem,
    TrackingIdentifier,
)
from highdicom.sr import MeasurementsAndQualitativeEvaluations as Group
from pydicom import Dataset
from pydicom.sr.codedict import codes

from M3LungScreenLib.classes import CLASSES, LUNG, Code
from M3LungScreenLib.involvement import LungInvolvement
from M3LungScreenLib.outputs.dicom_objects.codes import (
    CT_OF_CHEST,
    LEFT_LUNG,
    MILLILITER,
    RATIO,
    RIGHT_LUNG,
    VOLUME,
    class_concept,
    concept,
    private,
)
from M3LungScreenLib.outputs.dicom_objects.equipment import RESEARCH_USE, series_of
from M3LungScreenLib.outputs.dicom_objects.source import MANUFACTURER, Source
from M3LungScreenLib.result import Result

# Fractions of a lung, by attribute of LungInvolvement; code values have at most 16 characters.
FRACTIONS = {
    "fraction": ("INVOLVED", "Fraction of the lung that is lesion"),
    "ground_glass": ("GROUNDGLASS", "Fraction of the lung that is ground glass"),
    "consolidation": ("CONSOLIDATION", "Fraction of the lung that is consolidation"),
    "upper": ("INVOLVEDUPPER", "Fraction of the upper zone that is lesion"),
    "middle": ("INVOLVEDMIDDLE", "Fraction of the middle zone that is lesion"),
    "lower": ("INVOLVEDLOWER", "Fraction of the lower zone that is lesion"),
    "central": ("INVOLVEDCENTER", "Fraction of the central zone that is lesion"),
    "peripheral": ("INVOLVEDPERIPH", "Fraction of the peripheral zone that is lesion"),
}


def structured_report(
    result: Result, source: Source, references: tuple[Dataset, ...] = ()
) -> hd.sr.Comprehensive3DSR:
    """Probabilities, verdict, involvement, warnings; preliminary and unverified.

    `references` are the other new objects (segmentation, map), named as evidence. The result
    must be of a volume: a single slice has no verdict on the patient.
    """
    device = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=hd.UID(),
        name=MANUFACTURER,
        manufacturer_name=MANUFACTURER,
        model_name=result.model.name,
        serial_number=result.model.sha256[:12],
    )
    report = MeasurementReport(
        observation_context=ObservationContext(
            observer_device_context=ObserverContext(codes.DCM.Device, device)
        ),
        procedure_reported=concept(CT_OF_CHEST),
        imaging_measurements=[
            _patient(result),
            _lung(result, "right", RIGHT_LUNG),
            _lung(result, "left", LEFT_LUNG),
            _both_lungs(result),
        ],
        title=codes.DCM.ImagingMeasurementReport,
        referenced_images=source.images,
    )
    return hd.sr.Comprehensive3DSR(
        evidence=[*source.images, *references],
        content=report,
        is_complete=True,
        is_final=False,
        is_verified=False,
        **series_of(result, 2, "M3LungScreen: measurement report"),
    )


def _patient(result: Result) -> Group:
    """The four probabilities, the verdict with its reasons, and every warning."""
    patient = result.patient
    assert patient is not None
    group = Group(
        tracking_identifier=TrackingIdentifier(hd.UID(), "Patient"),
        finding_type=class_concept(patient.verdict),
        finding_sites=[FindingSite(concept(LUNG))],
        algorithm_id=_algorithm(result),
        measurements=[
            Measurement(
                private(f"P{each.key.upper()}", f"Probability of {each.name}"),
                round(float(getattr(patient.probabilities, each.key)), 6),
                concept(RATIO),
            )
            for each in CLASSES
        ],
        qualitative_evaluations=[
            QualitativeEvaluation(private("VERDICT", "Verdict"), class_concept(patient.verdict)),
            QualitativeEvaluation(
                private("MOSTLIKELY", "Most likely class"), class_concept(patient.predicted)
            ),
            QualitativeEvaluation(
                private("COUNTOFSLICES", "Class by the count of slices"),
                class_concept(patient.nonparametric.predicted),
            ),
        ],
    )
    for reason in patient.reasons:
        _add_text(group, private("REASON", "Reason for an indeterminate verdict"), reason)
    for warning in result.warnings:
        _add_text(group, private("WARNING", "Warning"), f"{warning.code}: {warning.message}")
    _add_text(group, codes.DCM.Comment, RESEARCH_USE)
    return group


def _lung(result: Result, side: str, place: Code) -> Group:
    involved: LungInvolvement = getattr(result.involvement, side)
    volume_ml = float(getattr(result.lung_volume_ml, side))
    return Group(
        tracking_identifier=TrackingIdentifier(hd.UID(), place.meaning),
        finding_sites=[FindingSite(concept(place))],
        measurements=[
            Measurement(concept(VOLUME), round(volume_ml, 3), concept(MILLILITER)),
            *_fractions(involved),
        ],
    )


def _both_lungs(result: Result) -> Group:
    score = Measurement(
        private("SEVERITYSCORE", "CT severity score, 0 to 24"),
        result.involvement.severity_score,
        concept(RATIO),
    )
    volume = Measurement(
        concept(VOLUME), round(float(result.lung_volume_ml.total), 3), concept(MILLILITER)
    )
    return Group(
        tracking_identifier=TrackingIdentifier(hd.UID(), "Both lungs"),
        finding_sites=[FindingSite(concept(LUNG))],
        measurements=[volume, *_fractions(result.involvement.total), score],
    )


def _fractions(involved: LungInvolvement) -> list[Measurement]:
    return [
        Measurement(
            private(value, meaning), round(float(getattr(involved, name)), 6), concept(RATIO)
        )
        for name, (value, meaning) in FRACTIONS.items()
    ]


def _algorithm(result: Result) -> AlgorithmIdentification:
    settings = result.settings
    return AlgorithmIdentification(
        name=MANUFACTURER,
        version=result.versions["M3LungScreen"],
        parameters=[
            f"model: {result.model.name} {result.model.version}",
            f"weights sha256: {result.model.sha256}",
            f"detail: {settings['detail']}",
            f"slices screened: {settings['slices_screened']} of {settings['slices_informative']}",
            f"window centers: {', '.join(map(str, settings['window_centers_hu']))} HU",
        ],
    )


def _add_text(group: Group, name: hd.sr.CodedConcept, text: str) -> None:
    """TID 1501 is extensible: text that belongs to the group."""
    item = TextContentItem(name, text, RelationshipTypeValues.CONTAINS)
    group[0].ContentSequence.append(item)
