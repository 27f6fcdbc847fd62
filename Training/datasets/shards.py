"""Arrays computed once and kept: one `.npz` per source, whole or absent, so that work can resume.

A folder is named by a hash of the settings and the code that shaped its arrays. If the real chests
change, delete it (`make clean`).
"""

import hashlib
import json
import multiprocessing
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

Arrays = dict[str, np.ndarray]
Maker = Callable[[], Arrays]


def keyed_folder(cache: Path, kind: str, *shaping: Any) -> Path:
    """`cache`/`kind`-HASH, with the hash of the values in `shaping` (settings or plain)."""
    plain = [asdict(each) if is_dataclass(each) else each for each in shaping]  # type: ignore[arg-type]
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
    return cache / f"{kind}-{digest[:8]}"


def cached(folder: Path, makers: Mapping[str, Maker], label: str) -> list[Arrays]:
    """The arrays of every name in `makers`, in order; missing ones are made on all cores.

    A maker must be picklable (a `functools.partial` of a module-level function).
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [name for name in makers if not _path(folder, name).exists()]
    if missing:
        _make([makers[name] for name in missing], [_path(folder, name) for name in missing], label)
    return [_read(_path(folder, name)) for name in makers]


def kept(folder: Path, name: str, maker: Maker) -> Arrays:
    """The arrays called `name`, made by this process if missing."""
    path = _path(folder, name)
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _write(maker, path)
    return _read(path)


def end_with_parent() -> None:
    """Initializer for pool processes: they end when their parent is killed."""
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _make(makers: Sequence[Maker], paths: Sequence[Path], label: str) -> None:
    # Forking a process that has torch's threads may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), context, end_with_parent) as pool:
        list(tqdm(pool.map(_write, makers, paths), total=len(paths), desc=label, mininterval=10))


def _write(maker: Maker, path: Path) -> None:
    beside = path.with_suffix(f".{os.getpid()}.part")
    with beside.open("wb") as file:
        np.savez(file, **maker())  # type: ignore[arg-type]
    os.replace(beside, path)


def _read(path: Path) -> Arrays:
    with np.load(path) as shard:
        return dict(shard)


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}.npz"
