"""Index a data set, and list who is included and who is excluded.

    python -m Training.index folders data/hospital -o index.csv --split
    python -m Training.index covid-ct-md data/COVID-CT-MD -o md.csv [--resume]
    python -m Training.index joined md.csv lidc.csv -o index.csv --split

Every CT is read once. What is not a usable chest CT is excluded; a scan that is in two splits is
refused. What was read is kept beside the index until the index is written.
"""

import argparse
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from M3LungScreenLib.errors import UsageError
from Training.atomic_files import work_beside
from Training.command_line import run_script
from Training.datasets.cc_ccii import CC_CCII
from Training.datasets.covid_ct_md import COVID_CT_MD
from Training.datasets.dataset import Dataset
from Training.datasets.examination import Examined, examine_kept
from Training.datasets.exclusions import Excluded, exclude, is_control
from Training.datasets.folders import FOLDERS
from Training.datasets.index_file import without_split
from Training.datasets.index_writer import write_index, write_terms
from Training.datasets.joined import NAME as JOINED
from Training.datasets.joined import joined
from Training.datasets.leaks import check_leaks
from Training.datasets.lidc import LIDC_IDRI
from Training.datasets.mosmed import MOSMED
from Training.datasets.ricord import RICORD_1A, RICORD_1B
from Training.datasets.splits import check_sizes, split_cases
from Training.datasets.stoic import STOIC
from Training.datasets.table import table_one, table_text

DATASETS = (FOLDERS, COVID_CT_MD, CC_CCII, MOSMED, STOIC, RICORD_1A, RICORD_1B, LIDC_IDRI)
LAYOUTS = {each.name: each for each in DATASETS}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("layout", choices=(*LAYOUTS, JOINED), help="layout of the data set")
    parser.add_argument(
        "place", type=Path, nargs="+", help="its top folder, or the indexes to join"
    )
    parser.add_argument("-o", "--out", type=Path, required=True, help="CSV file to write")
    parser.add_argument(
        "--controls",
        action="store_true",
        help="count patients with other disease but no pneumonia as Healthy",
    )
    parser.add_argument(
        "--split",
        action="store_true",
        help="split 60 / 40 into training and test, with validation taken from the 60",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the split")
    parser.add_argument("--resume", action="store_true", help="reuse cases that are already read")
    parsed = parser.parse_args(arguments)
    dataset = dataset_of(parsed.layout, parsed.place)
    print(terms(dataset))
    found = list(tqdm(dataset.cases(parsed.place[0]), "finding", unit=" cases", disable=None))
    controls = "" if parsed.controls else dataset.controls
    if parsed.split:
        # Reading takes hours; exclusions only make classes smaller, so check before.
        check_sizes([each for each in found if not is_control(each, controls)])
    elif (place := without_split(found)) is not None:
        raise UsageError(
            "split",
            f"{found[place].case_id} has no split, but other cases do. Add --split, or fill in the "
            "column split of every index.",
        )
    work = open_work(work_beside(parsed.out), parsed.resume)
    examined = [
        Examined(each) if is_control(each, controls) else examine_kept(each, work)
        for each in tqdm(found, "reading", disable=None)
    ]
    kept, excluded = exclude(examined, controls)
    if parsed.split:
        kept = with_splits(kept, parsed.seed)
    check_leaks(kept)
    print(f"\n{table_text(table_one(kept))}\n\n{exclusions_text(excluded)}\n")
    write_index(parsed.out, [each.case for each in kept])
    write_terms(parsed.out, dataset)
    shutil.rmtree(work)
    print(parsed.out)


def dataset_of(layout: str, places: Sequence[Path]) -> Dataset:
    """The adapter of one folder, or of joined indexes; UsageError if they are not there."""
    if layout == JOINED:
        return joined(places)
    if len(places) > 1:
        raise UsageError(
            "layout", f"{layout} takes one folder. Make an index of each folder, then join them."
        )
    if not places[0].is_dir():
        raise UsageError("layout", f"There is no folder {places[0]}. Check the name.")
    return LAYOUTS[layout]


def open_work(folder: Path, resume: bool) -> Path:
    """The folder for what was read, emptied unless resumed."""
    if not resume:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def with_splits(examined: Sequence[Examined], seed: int) -> list[Examined]:
    """The cases with their splits."""
    cases = split_cases([each.case for each in examined], seed)
    return [replace(each, case=case) for each, case in zip(examined, cases, strict=True)]


def terms(dataset: Dataset) -> str:
    """Licence, citation and peculiarities, to print."""
    notes = [f"Note: {each}" for each in dataset.notes]
    return "\n".join(
        [f"{dataset.name}. Licence: {dataset.licence}", f"Cite: {dataset.citation}", *notes]
    )


def exclusions_text(excluded: Sequence[Excluded]) -> str:
    """The number excluded for each reason, then each case."""
    counts = Counter(each.reason for each in excluded)
    lines = [f"Left out: {len(excluded)}"]
    for reason, count in counts.items():
        lines.append(f"  {reason}: {count}")
        lines += [
            f"    {each.case.case_id}: {each.detail}" if each.detail else f"    {each.case.case_id}"
            for each in excluded
            if each.reason == reason
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    run_script(main)
