"""Record in a bundle's card on how many real patients each class was verified.

python -m Testing.benchmarks.labelled_patients --model BUNDLE --json FIGURES
python -m Training.record_verification BUNDLE FIGURES

The figures of Testing.benchmarks.real_lesions can be recorded in the same way.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from M3LungScreenLib.bundle import Bundle, load_bundle, save_copy
from M3LungScreenLib.classes import CLASSES
from M3LungScreenLib.errors import UsageError
from Training.command_line import run_script
from Training.model_card import crops_note, verification_note


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path, help="model bundle whose card to write")
    parser.add_argument("figures", type=Path, help="JSON of labelled_patients or real_lesions")
    parsed = parser.parse_args(arguments)
    bundle = load_bundle(parsed.bundle)
    recorded = record(bundle, json.loads(parsed.figures.read_text("utf-8")))
    print(f"{recorded.folder}:", *recorded.card["notes"], sep="\n- ")


def record(bundle: Bundle, figures: dict[str, Any]) -> Bundle:
    """The same bundle with the figures in its card; UsageError for figures of other weights."""
    if not bundle.sha256.startswith(figures["weights"]):
        raise UsageError(
            "figures",
            f"The figures were measured with weights {figures['weights']}, but the bundle has "
            f"{bundle.sha256[:12]}. Measure this bundle first.",
        )
    if "patients" in figures:
        return _record_crops(bundle, figures)
    counts = {each.key: figures["verified_on_real_ct"].get(each.key, 0) for each in CLASSES}
    card = {
        **bundle.card,
        "verified_on_real_ct": counts,
        "notes": [bundle.card["notes"][0], verification_note(counts), *bundle.card["notes"][2:]],
    }
    return save_copy(bundle, bundle.folder, card=card)


def _record_crops(bundle: Bundle, figures: dict[str, Any]) -> Bundle:
    """Lung crops are no CT to screen, so they do not count as verified patients."""
    note = crops_note(figures)
    start = note.partition(" of ")[0]
    others = [each for each in bundle.card["notes"] if not each.startswith(start)]
    return save_copy(bundle, bundle.folder, card={**bundle.card, "notes": [*others, note]})


if __name__ == "__main__":
    run_script(main)
