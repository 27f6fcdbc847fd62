"""Record in a bundle's card on how many real patients each class was verified.

python -m Testing.benchmarks.labelled_patients --model BUNDLE --json FIGURES
python -m Training.record_verification BUNDLE FIGURES
"""

import argparse
import json
from pathlib import Path
from typing import Any

from M3LungScreenLib.bundle import Bundle, load_bundle, save_copy
from M3LungScreenLib.classes import CLASSES
from M3LungScreenLib.errors import UsageError
from Training.command_line import run_script
from Training.model_card import verification_note


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path, help="model bundle whose card to write")
    parser.add_argument("figures", type=Path, help="JSON of Testing.benchmarks.labelled_patients")
    parsed = parser.parse_args(arguments)
    bundle = load_bundle(parsed.bundle)
    recorded = record(bundle, json.loads(parsed.figures.read_text("utf-8")))
    print(f"{recorded.folder}: {recorded.card['notes'][1]}")


def record(bundle: Bundle, figures: dict[str, Any]) -> Bundle:
    """The same bundle with the figures in its card; UsageError for figures of other weights."""
    if not bundle.sha256.startswith(figures["weights"]):
        raise UsageError(
            "figures",
            f"The figures were measured with weights {figures['weights']}, but the bundle has "
            f"{bundle.sha256[:12]}. Measure this bundle first.",
        )
    counts = {each.key: figures["verified_on_real_ct"].get(each.key, 0) for each in CLASSES}
    card = {
        **bundle.card,
        "verified_on_real_ct": counts,
        "notes": [bundle.card["notes"][0], verification_note(counts), *bundle.card["notes"][2:]],
    }
    return save_copy(bundle, bundle.folder, card=card)


if __name__ == "__main__":
    run_script(main)
