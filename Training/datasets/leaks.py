"""No patient, no series and no slice may lie on two sides of a split."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations

from M3LungScreenLib.errors import UsageError
from Training.datasets.examination import Examined

PAIRS_NAMED = 20


def check_leaks(examined: Sequence[Examined]) -> None:
    """Raise UsageError with the pairs of cases that are one and lie in different splits.

    Two are one by their name, DICOM's patient ID, a common series UID, or a slice of the
    same pixels. A patient ID that all who have one have in common is a placeholder.
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
    """All pairs that have a key in common."""
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
    return f"The split leaks: {named}{more}. Put each pair on one side, or take one of the two out."
