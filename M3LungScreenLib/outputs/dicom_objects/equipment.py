"""What all DICOM objects of one result share: equipment, algorithm, identifiers, dates."""

from typing import Any

import highdicom as hd
from pydicom.sr.codedict import codes

from M3LungScreenLib.outputs.dicom_objects.source import FIRST_SERIES_NUMBER, MANUFACTURER
from M3LungScreenLib.result import Result

RESEARCH_USE = "Research use only: not for clinical decisions."


def series_of(result: Result, number: int, description: str) -> dict[str, Any]:
    """Arguments of highdicom for the `number`th new series."""
    return {
        "series_instance_uid": hd.UID(),
        "series_number": FIRST_SERIES_NUMBER + number,
        "series_description": description,
        "sop_instance_uid": hd.UID(),
        "instance_number": 1,
        **equipment_of(result),
    }


def equipment_of(result: Result) -> dict[str, Any]:
    """Manufacturer, model and versions; the serial number is the digest of the weights."""
    return {
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": result.model.name,
        "software_versions": f"{result.versions['M3LungScreen']}, model {result.model.version}",
        "device_serial_number": result.model.sha256[:12],
    }


def algorithm_of(result: Result) -> hd.AlgorithmIdentificationSequence:
    """The algorithm that made the maps."""
    return hd.AlgorithmIdentificationSequence(
        name=MANUFACTURER,
        family=codes.DCM.ArtificialIntelligence,
        version=result.model.version,
        source=MANUFACTURER,
        parameters={"model": result.model.name, "weights sha256": result.model.sha256},
    )
