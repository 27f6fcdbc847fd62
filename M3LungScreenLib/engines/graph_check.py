"""Checks an ONNX graph before it is run, without the onnx package.

A graph may read no file but the bundle's weights, and there only the tensor of the same name; it
consists of standard operators alone. The messages of an ONNX file are those of Protocol Buffers:
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

import json
import struct
from collections.abc import Iterator
from pathlib import Path

from M3LungScreenLib.bundle import WEIGHTS_FILE
from M3LungScreenLib.errors import ModelRefused

# Field numbers in onnx.proto.
MODEL_GRAPH, MODEL_TRAINING, MODEL_FUNCTIONS = 7, 20, 25
GRAPH_NODE, GRAPH_INITIALIZER, GRAPH_SPARSE_INITIALIZER = 1, 5, 15
NODE_OPERATOR, NODE_ATTRIBUTE, NODE_DOMAIN = 4, 5, 7
ATTRIBUTE_TENSOR, ATTRIBUTE_TENSORS = 5, 10
ATTRIBUTE_GRAPHS_AND_SPARSE = {6, 11, 22, 23}
TENSOR_NAME, TENSOR_EXTERNAL_DATA, TENSOR_LOCATION = 8, 13, 14
ENTRY_KEY, ENTRY_VALUE = 1, 2
STANDARD_DOMAINS = (b"", b"ai.onnx")
VARINT, EIGHT_BYTES, BYTES, FOUR_BYTES = 0, 1, 2, 5


def check_graph(graph: bytes, folder: Path) -> None:
    """Raises ModelRefused 'model_graph' for a graph that needs more than `folder`'s weights."""
    try:
        _check_model(memoryview(graph), tensor_places(folder / WEIGHTS_FILE))
    except ValueError as wrong:
        raise ModelRefused(
            "model_graph",
            f"An ONNX graph of the model in {folder} cannot be used: {wrong}. Copy the bundle "
            "again from the source, or make the graphs again with Training.add_graphs.",
        ) from wrong


def tensor_places(weights: Path) -> dict[bytes, tuple[int, int]]:
    """Where each tensor of a safetensors file begins, and how many bytes it has, by name."""
    with weights.open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
    header.pop("__metadata__", None)
    return {
        name.encode(): (8 + size + begin, end - begin)
        for name, entry in header.items()
        for begin, end in [entry["data_offsets"]]
    }


def _check_model(model: memoryview, places: dict[bytes, tuple[int, int]]) -> None:
    for number, content in fields_of(model):
        if number in (MODEL_TRAINING, MODEL_FUNCTIONS):
            raise ValueError("it has functions of its own")
        if number != MODEL_GRAPH:
            continue
        for part, message in fields_of(content):
            if part == GRAPH_NODE:
                _check_node(message)
            elif part == GRAPH_INITIALIZER:
                _check_initializer(message, places)
            elif part == GRAPH_SPARSE_INITIALIZER:
                raise ValueError("it has sparse weights")


def _check_node(node: memoryview) -> None:
    for number, content in fields_of(node):
        if number == NODE_DOMAIN and bytes(content) not in STANDARD_DOMAINS:
            raise ValueError(f"it uses operators of {bytes(content)!r}, which is not standard ONNX")
        if number != NODE_ATTRIBUTE:
            continue
        for part, value in fields_of(content):
            if part in ATTRIBUTE_GRAPHS_AND_SPARSE:
                raise ValueError("an operator contains another graph or sparse values")
            if part in (ATTRIBUTE_TENSOR, ATTRIBUTE_TENSORS) and _external_data(value) is not None:
                raise ValueError("an operator reads a file")


def _check_initializer(tensor: memoryview, places: dict[bytes, tuple[int, int]]) -> None:
    external = _external_data(tensor)
    if external is None:
        return
    names = [bytes(content) for number, content in fields_of(tensor) if number == TENSOR_NAME]
    name = names[-1] if names else b""
    location = external.get(b"location", b"")
    if location != WEIGHTS_FILE.encode():
        raise ValueError(f"it reads the file {location!r:.80} instead of {WEIGHTS_FILE}")
    place = tuple(external.get(key, b"") for key in (b"offset", b"length"))
    if name not in places or place != tuple(b"%d" % each for each in places[name]):
        raise ValueError(f"{WEIGHTS_FILE} does not have {name!r:.80} where it looks")


def _external_data(tensor: memoryview) -> dict[bytes, bytes] | None:
    """The entries that say where a tensor's values lie, or None if they lie in the graph."""
    entries: dict[bytes, bytes] | None = None
    for number, content in fields_of(tensor):
        if number in (TENSOR_EXTERNAL_DATA, TENSOR_LOCATION):
            entries = entries or {}
        if number == TENSOR_EXTERNAL_DATA and entries is not None:
            entry = {part: bytes(value) for part, value in fields_of(content)}
            entries[entry.get(ENTRY_KEY, b"")] = entry.get(ENTRY_VALUE, b"")
    return entries


def fields_of(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and content of each field of a Protocol Buffers message; numbers are skipped over.

    A number's content is empty. Raises ValueError for bytes that are no message.
    """
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind, size = key & 7, 0
        if kind == VARINT:
            _, at = _varint(message, at)
        elif kind == BYTES:
            size, at = _varint(message, at)
        elif kind in (EIGHT_BYTES, FOUR_BYTES):
            at += 8 if kind == EIGHT_BYTES else 4
        else:
            raise ValueError("it is damaged")
        if at + size > len(message):
            raise ValueError("it is cut off")
        yield key >> 3, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """The number that begins at `at`, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise ValueError("it is cut off")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("it is damaged")
