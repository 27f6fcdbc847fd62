"""A model bundle: a folder with model.json (the model card and all settings), the weights, and
the networks as ONNX graphs that take their weights from the same file.

A bundle without graphs runs on PyTorch alone. Reading one needs neither torch nor ONNX Runtime, so
a card can be shown before they are installed.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from M3LungScreenLib.errors import ModelRefused
from M3LungScreenLib.settings import ModelSettings, from_dict, to_dict
from M3LungScreenLib.writing import not_written, writer_errors

FORMAT_VERSION = 1
CARD_FILE = "model.json"
WEIGHTS_FILE = "weights.safetensors"
GRAPH_FILES = {"slice": "slice_network.onnx", "patient": "patient_network.onnx"}


@dataclass(frozen=True)
class Bundle:
    """A model whose weights and graphs match their SHA-256.

    `card` is the content of model.json: settings, training data with licenses,
    metrics, and which classes were verified on real CT.
    """

    folder: Path
    name: str
    version: str
    sha256: str
    settings: ModelSettings
    card: dict[str, Any] = field(repr=False)

    @property
    def has_graphs(self) -> bool:
        return "graphs" in self.card

    def graph(self, network: str) -> bytes:
        """The ONNX graph of the 'slice' or 'patient' network, checked again; see `has_graphs`."""
        name = GRAPH_FILES[network]
        path = self.folder / name
        try:
            content = path.read_bytes()
        except OSError:
            raise _missing(path) from None
        _check_hash(path, hashlib.sha256(content).hexdigest(), self.card["graphs"][name])
        return content

    def weights(self, network: str) -> dict[str, np.ndarray]:
        """float32 arrays of the 'slice' or 'patient' network by state-dict name."""
        from safetensors.numpy import load_file

        prefix = f"{network}."
        stored = load_file(self.folder / WEIGHTS_FILE)
        return {
            name.removeprefix(prefix): _widened(array)
            for name, array in stored.items()
            if name.startswith(prefix)
        }


def load_bundle(folder: str | Path) -> Bundle:
    """The bundle in `folder`. Raises ModelRefused if it is missing, damaged or incomplete."""
    folder = Path(folder)
    card = _read_card(folder / CARD_FILE)
    if card.get("format_version") != FORMAT_VERSION:
        raise ModelRefused(
            "model_version",
            f"The model in {folder} has format version {card.get('format_version')}; this program "
            f"reads version {FORMAT_VERSION}. Use a bundle made for this version.",
        )
    try:
        name, version = str(card["name"]), str(card["version"])
        sha256 = str(card["weights"]["sha256"])
        plain = card["settings"]
    except (KeyError, TypeError) as wrong:
        raise ModelRefused(
            "model_card",
            f"The model card {folder / CARD_FILE} is incomplete ({wrong}). Export the "
            "bundle again.",
        ) from wrong
    settings = _settings(plain, folder / CARD_FILE)
    _check_notes(card, folder / CARD_FILE)
    for file, expected in {WEIGHTS_FILE: sha256, **_graph_hashes(card, folder / CARD_FILE)}.items():
        _check_file(folder / file, expected)
    return Bundle(folder, name, version, sha256, settings, card)


def save_bundle(
    folder: str | Path,
    *,
    name: str,
    version: str,
    settings: ModelSettings,
    slice_weights: Mapping[str, np.ndarray],
    patient_weights: Mapping[str, np.ndarray],
    card: Mapping[str, Any],
    dtype: str = "float16",
) -> Bundle:
    """Write a bundle without graphs, completely or not at all, and read it back.

    Floating-point weights are stored as `dtype`. `card` adds training data with licenses,
    metrics and verified classes. It may be the card of another bundle: name, version, settings
    and weights always come from the other arguments. A bundle already in `folder` is replaced.
    Raises ModelRefused if `folder` contains anything else, and UsageError
    'output_not_written' if writing fails.
    """
    from safetensors.numpy import save_file

    weights = _prefixed("slice", slice_weights, dtype) | _prefixed(
        "patient", patient_weights, dtype
    )
    head = {"format_version": FORMAT_VERSION, "name": name, "version": version}
    head |= {"weights": {"file": WEIGHTS_FILE, "dtype": dtype}, "settings": to_dict(settings)}
    with _written_beside(Path(folder)) as beside:
        with writer_errors(beside / WEIGHTS_FILE):
            save_file(weights, beside / WEIGHTS_FILE)
        (beside / WEIGHTS_FILE).chmod(0o644)  # safetensors makes files readable for the owner only
        _write_card(beside, {**head, **card, **head})
    return load_bundle(folder)


def save_copy(
    bundle: Bundle,
    folder: str | Path,
    *,
    settings: ModelSettings | None = None,
    card: Mapping[str, Any] | None = None,
    graphs: Mapping[str, bytes] | None = None,
) -> Bundle:
    """Save `bundle` in `folder` with the same weights, byte by byte; read it back.

    None keeps its own settings, card and graphs (by network, 'slice' and 'patient'). Writes and
    raises as `save_bundle`; `folder` may be the bundle's own.
    """
    if graphs is None:
        graphs = {each: bundle.graph(each) for each in GRAPH_FILES} if bundle.has_graphs else {}
    head = {key: bundle.card[key] for key in ("format_version", "name", "version", "weights")}
    head["settings"] = to_dict(settings or bundle.settings)
    with _written_beside(Path(folder)) as beside:
        shutil.copyfile(bundle.folder / WEIGHTS_FILE, beside / WEIGHTS_FILE)
        for network, graph in graphs.items():
            (beside / GRAPH_FILES[network]).write_bytes(graph)
        _write_card(beside, {**(bundle.card if card is None else card), **head})
    return load_bundle(folder)


@contextmanager
def _written_beside(folder: Path) -> Iterator[Path]:
    """An empty folder next to `folder`, whose files are moved into it in the end."""
    _check_place(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            yield beside
            _move_files(beside, folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except OSError as wrong:
        raise not_written(folder, wrong) from wrong


def _write_card(beside: Path, card: Mapping[str, Any]) -> None:
    """Write `card` with the hashes of the weights and of the graphs that are there."""
    weights = {**card["weights"], "sha256": _sha256(beside / WEIGHTS_FILE)}
    made = [name for name in GRAPH_FILES.values() if (beside / name).exists()]
    graphs = {name: _sha256(beside / name) for name in made}
    written: dict[str, Any] = {}
    for key, value in card.items():
        if key == "weights":
            written |= {key: weights} | ({"graphs": graphs} if graphs else {})
        elif key != "graphs":
            written[key] = value
    text = json.dumps(written, indent=2, ensure_ascii=False)
    (beside / CARD_FILE).write_text(text + "\n", "utf-8")


def _settings(plain: Any, path: Path) -> ModelSettings:
    try:
        return from_dict(ModelSettings, plain)
    except ValueError as wrong:
        raise ModelRefused(
            "model_settings",
            f"Invalid setting in {path}: {wrong}. Correct it, or export the bundle again.",
        ) from wrong


def _check_notes(card: Mapping[str, Any], path: Path) -> None:
    """Notes must be a list, and verified classes an object."""
    for key, kind, name in (("notes", list, "a list"), ("verified_on_real_ct", dict, "an object")):
        if not isinstance(card.get(key, kind()), kind):
            raise ModelRefused(
                "model_card",
                f"In the model card {path}, {key} is {card[key]!r} but must be {name}. Export the "
                "bundle again.",
            )


def _read_card(path: Path) -> dict[str, Any]:
    try:
        card = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ModelRefused(
            "model_missing",
            f"There is no model in {path.parent}: {CARD_FILE} is missing. Choose the folder "
            "of a model bundle.",
        ) from None
    except (OSError, ValueError) as wrong:
        raise ModelRefused(
            "model_card",
            f"The model card {path} cannot be read ({wrong}). Copy or export the bundle again.",
        ) from wrong
    if not isinstance(card, dict):
        raise ModelRefused(
            "model_card", f"The model card {path} has no settings. Export the bundle again."
        )
    return card


def _graph_hashes(card: Mapping[str, Any], path: Path) -> dict[str, str]:
    """SHA-256 of each graph by file name; empty for a bundle without graphs."""
    if "graphs" not in card:
        return {}
    hashes = card["graphs"]
    if not isinstance(hashes, dict) or set(hashes) != set(GRAPH_FILES.values()):
        raise ModelRefused(
            "model_card",
            f"In the model card {path}, graphs must name {' and '.join(GRAPH_FILES.values())} "
            "with their SHA-256. Export the bundle again.",
        )
    return {name: str(value) for name, value in hashes.items()}


def _check_file(path: Path, expected: str) -> None:
    try:
        found = _sha256(path)
    except OSError:
        raise _missing(path) from None
    _check_hash(path, found, expected)


def _check_hash(path: Path, found: str, expected: str) -> None:
    if found != expected:
        raise ModelRefused(
            "model_hash",
            f"{_kind(path)} {path} is damaged: its SHA-256 is {found[:12]}…, the model "
            f"card says {expected[:12]}…. Copy the bundle again from the source.",
        )


def _missing(path: Path) -> ModelRefused:
    return ModelRefused(
        "model_missing", f"{_kind(path)} {path} is missing. Copy the whole bundle again."
    )


def _kind(path: Path) -> str:
    return "The weights file" if path.name == WEIGHTS_FILE else "The ONNX graph"


def _check_place(folder: Path) -> None:
    if folder.is_dir() and any(folder.iterdir()) and not (folder / CARD_FILE).is_file():
        raise ModelRefused(
            "model_place", f"{folder} is not empty and contains no model. Choose another folder."
        )


def _move_files(beside: Path, folder: Path) -> None:
    """The card last: until the new one is in place, the old one rejects what is new."""
    folder.mkdir(exist_ok=True)
    for name in (WEIGHTS_FILE, *GRAPH_FILES.values(), CARD_FILE):
        if (beside / name).exists():
            os.replace(beside / name, folder / name)
        else:
            (folder / name).unlink(missing_ok=True)


def _prefixed(network: str, weights: Mapping[str, np.ndarray], dtype: str) -> dict[str, np.ndarray]:
    return {
        f"{network}.{name}": np.asarray(_narrowed(np.asarray(array), dtype), order="C")
        for name, array in weights.items()
    }


def _narrowed(array: np.ndarray, dtype: str) -> np.ndarray:
    return array.astype(dtype) if np.issubdtype(array.dtype, np.floating) else array


def _widened(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if np.issubdtype(array.dtype, np.floating) else array


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
