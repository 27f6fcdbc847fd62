"""Sends DICOM objects to a DICOMweb server (STOW-RS) or a DICOM node (C-STORE)."""

import os
import re
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, dcmread

from M3LungScreenLib.errors import NotSent, UsageError

TOKEN_VARIABLE = "M3LUNGSCREEN_DICOMWEB_TOKEN"
OWN_AE_TITLE = "M3LUNGSCREEN"
TIMEOUT_S = 60
_NODE = re.compile(r"(?P<title>[^@/]{1,16})@(?P<host>[^:/@]+|\[[^\]]+\]):(?P<port>\d{1,5})")
_SUCCESS = 0x0000
# The object was stored, with a remark (PS3.4, Table B.2-1).
_STORED_WITH_WARNING = (0xB000, 0xB006, 0xB007)


@dataclass(frozen=True)
class TlsFiles:
    """PEM files for C-STORE over TLS: whom to trust, and who we are (both optional)."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


def check_target(target: str) -> None:
    """Raise UsageError, before any work, unless `target` is a URL or AET@host:port."""
    if not (target.startswith(("http://", "https://")) or _NODE.fullmatch(target)):
        raise UsageError(
            "send",
            f"{target} is neither a DICOMweb URL (https://host/path) nor a DICOM node "
            "(AETITLE@host:port).",
        )


def send(files: Iterable[Path], target: str, tls: TlsFiles | None = None) -> None:
    """Send the DICOM files to `target`, a DICOMweb URL or AET@host:port.

    DICOMweb: the environment variable M3LUNGSCREEN_DICOMWEB_TOKEN is sent as bearer token;
    HTTPS_PROXY and REQUESTS_CA_BUNDLE count as usual. C-STORE: with `tls`, over TLS. Raises
    NotSent with a line for each object that was not accepted; the others are stored.
    """
    check_target(target)
    objects: dict[str, Dataset] = {path.name: dcmread(path) for path in files}
    node = _NODE.fullmatch(target)
    if node:
        failures = _store(objects, node["title"], node["host"], node["port"], tls)
    else:
        failures = _stow(objects, target)
    if failures:
        lines = [f"{name}: {why}" for name, why in failures.items()]
        raise NotSent(
            "not_sent",
            f"{target} did not accept {len(failures)} of {len(objects)} objects. They are in the "
            "output folder. " + " | ".join(lines),
        )


def _stow(objects: dict[str, Dataset], url: str) -> dict[str, str]:
    """The reason by name for each object that the server did not store."""
    from dicomweb_client.api import DICOMwebClient
    from requests import RequestException

    token = os.environ.get(TOKEN_VARIABLE)
    headers = {"Authorization": f"Bearer {token}"} if token else None
    client = DICOMwebClient(url, headers=headers, timeout=TIMEOUT_S)
    failures = {}
    for name, each in objects.items():
        try:
            answer = client.store_instances([each])
        except (RequestException, OSError, ValueError) as wrong:
            failures[name] = str(wrong)
            continue
        for failed in answer.get("FailedSOPSequence", []):
            failures[name] = f"failure reason {failed.get('FailureReason', 'unknown')}"
    return failures


def _store(
    objects: dict[str, Dataset], title: str, host: str, port: str, tls: TlsFiles | None
) -> dict[str, str]:
    """The reason by name for each object that the node did not store."""
    from pynetdicom import AE

    entity = AE(OWN_AE_TITLE)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = TIMEOUT_S
    for each in objects.values():
        entity.add_requested_context(each.SOPClassUID, each.file_meta.TransferSyntaxUID)
    over_tls = (_context(tls), host) if tls else None
    association = entity.associate(host.strip("[]"), int(port), ae_title=title, tls_args=over_tls)
    if not association.is_established:
        return dict.fromkeys(objects, f"no association with {title} at {host}:{port}")
    try:
        return {
            name: why for name, each in objects.items() if (why := _store_one(association, each))
        }
    finally:
        association.release()


def _store_one(association: object, dataset: Dataset) -> str | None:
    try:
        status = association.send_c_store(dataset)  # type: ignore[attr-defined]
    except (ValueError, RuntimeError) as wrong:  # its SOP class was not accepted, or no link
        return str(wrong)
    if not status:
        return "no answer"
    code = int(status.Status)
    if code == _SUCCESS or code in _STORED_WITH_WARNING:
        return None
    comment = status.get("ErrorComment", "")
    return f"status 0x{code:04X}{f' ({comment})' if comment else ''}"


def _context(tls: TlsFiles) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=tls.ca)
        if tls.certificate:
            context.load_cert_chain(tls.certificate, tls.key)
    except (OSError, ssl.SSLError) as wrong:
        raise UsageError("send", f"The TLS files cannot be used: {wrong}.") from wrong
    return context
