"""No patient, series or slice may be in two splits."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations

from M3LungScreenLib.errors import UsageError
from Training.datasets.examination import Examined

PAIRS_NAMED = 20


def check_leaks(examined: Sequence[Examined]) -> None:
    """UsageError names pairs of cases in different splits that are the same.

    Cases are the same if they share their name, DICOM patient ID, a series UID, or a slice with
    identical pixels. A patient ID that all cases share is a placeholder.
    """
    pairs = {
        (*sorted((first.case.case_id, second.case.case_id)), what)
        for what, keys in _evidence(examined)
        for first, second in _meetings(examined, keys)
        if first.case.split != second.case.split
    }
    if pairs:
        raise UsageError("leak", _sentence(sorted(pairs)))


def _evidence(
    examined: Sequence[Examined],
) -> Iterator[tuple[str, Callable[[Examined], Iterable[str]]]]:
    identities = {each.fingerprint.patient for each in examined} - {""}
    yield "same patient", lambda each: [each.case.case_id]
    if len(identities) > 1:
        yield "same patient ID", lambda each: {each.fingerprint.patient} - {""}
    yield "same series UID", lambda each: each.fingerprint.series
    yield "identical pixels", lambda each: each.fingerprint.slices


def _meetings(
    examined: Sequence[Examined], keys: Callable[[Examined], Iterable[str]]
) -> set[tuple[Examined, Examined]]:
    """All pairs that share a key."""
    having: dict[str, list[Examined]] = {}
    for each in examined:
        for key in keys(each):
            having.setdefault(key, []).append(each)
    return {pair for each in having.values() for pair in combinations(each, 2)}


def _sentence(pairs: Sequence[tuple[str, ...]]) -> str:
    named = "; ".join(
        f"{first} and {second} ({what})" for first, second, what in pairs[:PAIRS_NAMED]
    )
    more = f"; and {len(pairs) - PAIRS_NAMED} more" if len(pairs) > PAIRS_NAMED else ""
    return f"The split leaks: {named}{more}. Put each pair in one split, or remove one of the two."
