"""List the series in a DICOM folder or ZIP file, and say which one would be screened."""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from M3LungScreenLib.dicom.listing import ListedSeries, Listing, listing_of
from M3LungScreenLib.dicom.reading import find_in
from M3LungScreenLib.errors import InputRefused
from M3LungScreenLib.reading import check_exists
from M3LungScreenLib.zip_archive import unpacked


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "input",
        metavar="INPUT",
        type=Path,
        help="DICOM folder, DICOMDIR, DICOM file, or .zip of DICOM",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    check_exists(arguments.input)
    with unpacked(arguments.input) as place:
        listing = listing_of(find_in(place))
    if arguments.json:
        print(json.dumps(asdict(listing), indent=1, ensure_ascii=False))
    else:
        print("\n".join(lines_of(listing)))
    if listing.refusal:
        print(listing.refusal, file=sys.stderr)
    return InputRefused.exit_status if listing.refusal else 0


def lines_of(listing: Listing) -> Iterator[str]:
    """The listing for people; the series that would be screened has an asterisk."""
    for each in listing.series:
        yield f"{'*' if each.screened else ' '} [{each.index}] {_facts(each)}"
        if each.screened:
            yield "      would be screened"
        elif each.reason:
            yield f"      {each.reason}"
    yield from (f"  {name}: {what}" for name, what in listing.no_images)
    yield from (f"  {name}: cannot be read" for name in listing.damaged)


def _facts(each: ListedSeries) -> str:
    rows, columns = each.matrix
    facts = [
        f"series {each.number}",
        each.modality or "no modality",
        f"'{each.description}'" if each.description else "",
        each.plane,
        f"{each.images} image{'' if each.images == 1 else 's'}",
        "" if each.spacing_mm is None else f"{each.spacing_mm:.1f} mm apart",
        f"{rows} × {columns} pixels",
        f"of {each.pixel_spacing_mm[0]:.2f} mm" if each.pixel_spacing_mm else "",
        f"kernel {each.kernel}" if each.kernel else "",
    ]
    return ", ".join(filter(None, facts)).replace("pixels, of", "pixels of")
