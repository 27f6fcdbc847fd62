"""Learn the templates by which a picture shows its back, head and left.

    python -m Training.learn_orientation DATA [--packages build/packages] [--leave-out]

DATA is the folder with backgrounds, volumes and single slices; --packages holds chests that
Python packages carry. The same orders of cases give the same weights, which are written into
the library. --leave-out instead prints what each real case shows by templates that were
learned without its patient.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from tqdm import tqdm

from M3LungScreenLib.body_pictures import BodyPictures, coarse_copy, inside_body
from M3LungScreenLib.classes import CLASS_KEYS
from M3LungScreenLib.orientation_check import (
    AS_THE_HEADER_SAYS,
    TEMPLATES,
    Templates,
    View,
    find_orientation,
    left_features,
    levels,
    symmetric,
    views,
    with_lung,
)
from M3LungScreenLib.reading import read_ct
from M3LungScreenLib.simulation.patient import simulate_patient
from Training.command_line import run_script

FIRST_SEED, SIMULATED, MATRIX = 5_000, 60, 128
# A real volume counts as much as two single slices or three simulated patients.
WEIGHTS = {"volume": 1.0, "slice": 0.5, "simulated": 0.35}
# Parts of each case, and copies with opaque lung: what a slab or a sick chest shows.
PARTS, OPAQUE_COPIES = 6, 3
# Regularisation, chosen on cases that were left out.
BACK_C, LEVEL_ALPHA, LEFT_L2 = 0.3, 30.0, 0.05
# Whose lungs are cut by the scan, so that height in the lungs cannot be said; all below them.
CUT, BELOW = ("crlm-1006",), ("abdomen_ct",)
FOLDS = 8


@dataclass(frozen=True)
class Case:
    """One scan or slice that lies as it should."""

    name: str
    kind: str
    hu: np.ndarray

    @property
    def patient(self) -> str:
        return self.name.split("_")[0]

    @property
    def weight(self) -> float:
        return WEIGHTS[self.kind]

    @cached_property
    def pictures(self) -> BodyPictures:
        coarse = coarse_copy(self.hu)
        pictures = BodyPictures.of(coarse, inside_body(coarse))
        assert pictures is not None, self.name
        return pictures


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--packages", type=Path, help="folder of .nrrd and .nii.gz chests")
    parser.add_argument("--leave-out", action="store_true")
    parsed = parser.parse_args(arguments)
    cases = [*real_cases(parsed.data, parsed.packages), *simulated_cases()]
    if parsed.leave_out:
        print_left_out(cases)
        return
    write(learn(cases), cases)


def write(learned: Templates, cases: Sequence[Case]) -> None:
    """Into the library, to three digits, with what they were learned from."""
    rounded = {name: [float(f"{w:.3g}") for w in each] for name, each in vars(learned).items()}
    origin = [case.name for case in cases if case.kind != "simulated"]
    text = {"real": origin, "simulated": SIMULATED, "weights": rounded}
    TEMPLATES.write_text(json.dumps(text) + "\n")


def real_cases(data: Path, packages: Path | None) -> Iterator[Case]:
    """Real CT that may be learned from; the patients with labels are kept for testing."""
    found = [
        *(p for p in sorted((data / "backgrounds").glob("*.nrrd")) if "nodules" not in p.stem),
        data / "volumes" / "ct-64.nrrd",
        *sorted((data / "slices" / "edge-cases").glob("*.dcm")),
        *sorted((data / "slices" / "covid-ny-sbu").glob("*.nrrd")),
        *sorted(
            p
            for p in (packages.iterdir() if packages else ())
            if "image" in p.name or "ct" in p.name
        ),
    ]
    for path in tqdm(found, desc="real"):
        hu = read_ct(path).hu
        yield Case(path.name.split(".")[0], "volume" if len(hu) > 1 else "slice", hu)


def simulated_cases() -> Iterator[Case]:
    for n in tqdm(range(SIMULATED), desc="simulated"):
        patient = simulate_patient(CLASS_KEYS[n % 4], FIRST_SEED + n, matrix=MATRIX)
        yield Case(f"simulated-{n}", "simulated", patient.volume.hu)


def learn(cases: Sequence[Case]) -> Templates:
    level = learn_level(cases)
    return Templates(learn_back(cases), level, learn_left(cases, level))


def learn_back(cases: Sequence[Case]) -> np.ndarray:
    """The right view must win over each of the others, in whole scans and in parts of them."""
    rng = np.random.default_rng(0)
    differences, weights = [], []
    for case in tqdm(cases, desc="back"):
        coarse = coarse_copy(case.hu)
        rows = [
            row for whole in (coarse, *_tight(case, rng)) for row in _differences(views(whole), rng)
        ]
        differences += rows
        weights += [case.weight / PARTS] * len(rows)
    x, w = np.array(differences), np.array(weights)
    model = LogisticRegression(C=BACK_C, fit_intercept=False, max_iter=3000)
    model.fit(np.r_[x, -x], np.r_[np.ones(len(x)), np.zeros(len(x))], np.r_[w, w])
    return np.asarray(model.coef_[0])


def _differences(found: dict[View, np.ndarray], rng: np.random.Generator) -> Iterator[np.ndarray]:
    """The right view less each other one, in the whole and in parts of it."""
    if AS_THE_HEADER_SAYS not in found:
        return
    right = found.pop(AS_THE_HEADER_SAYS)
    for n in range(PARTS if len(right) > 1 else 1):
        chosen = _part(np.arange(len(right)), rng) if n else np.arange(len(right))
        for (axis, _), wrong in found.items():
            yield right[chosen].mean(axis=0) - (wrong if axis else wrong[chosen]).mean(axis=0)


def learn_level(cases: Sequence[Case]) -> np.ndarray:
    """Height in the lungs, from whole chests."""
    x, y, w = [], [], []
    for case in cases:
        if case.kind == "slice" or case.name in CUT:
            continue
        grid = case.pictures.grid
        area = grid[:, 0].sum(axis=(1, 2))
        lung = np.flatnonzero(area > 0.04 * area.max())
        height = (np.arange(len(grid)) - lung[0]) / max(1, lung[-1] - lung[0])
        if case.name in BELOW:
            height[:] = -1
        x.append(symmetric(grid))
        y.append(np.clip(height, -0.4, 1.2) - 0.5)
        w.append(np.full(len(grid), 30 * case.weight / len(grid)))
    model = Ridge(alpha=LEVEL_ALPHA).fit(np.concatenate(x), np.concatenate(y), np.concatenate(w))
    return np.r_[model.coef_, model.intercept_]


def learn_left(cases: Sequence[Case], level: np.ndarray) -> np.ndarray:
    """Slices vote; the vote of each part of each case must be for the left that is left."""
    rng = np.random.default_rng(1)
    parts: list[np.ndarray] = []
    weights: list[float] = []
    for case in cases:
        counted = with_lung(case.pictures)
        if not counted.any():
            continue
        copies = [case.pictures, *(_opaque(case.pictures, rng) for _ in range(OPAQUE_COPIES))]
        for pictures in copies:
            x = left_features(pictures, levels(pictures.grid, level))[counted]
            chosen = [x, *(_part(x, rng) for _ in range(PARTS - 1 if len(x) > 1 else 0))]
            parts += chosen
            weights += [case.weight / len(chosen) / len(copies)] * len(chosen)
    return _fit_votes(parts, np.array(weights))


def _fit_votes(parts: Sequence[np.ndarray], weights: np.ndarray) -> np.ndarray:
    x = torch.tensor(np.concatenate(parts), dtype=torch.float32)
    counts = torch.tensor([len(part) for part in parts])
    part_of = torch.repeat_interleave(torch.arange(len(parts)), counts)
    weight = torch.tensor(weights, dtype=torch.float32)
    template = torch.zeros(x.shape[1], requires_grad=True)
    optimiser = torch.optim.LBFGS([template], max_iter=150, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        votes = torch.tanh(x @ template / 2)
        mean = torch.zeros(len(parts)).index_add(0, part_of, votes) / counts
        value = (weight * torch.nn.functional.softplus(-4 * mean)).sum()
        value = value + LEFT_L2 * (template**2).sum()
        value.backward()
        return value

    optimiser.step(loss)
    return template.detach().numpy()


def _part(slices: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A run of slices: an eighth, a quarter or half of them."""
    count = min(len(slices), max(2, len(slices) // int(rng.choice([2, 4, 8]))))
    first = int(rng.integers(0, len(slices) - count + 1))
    return slices[first : first + count]


def _tight(case: Case, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """A field of view that ends at the lungs, or within them."""
    lung = case.pictures.lung.mean(axis=0)
    if len(case.hu) == 1 or not lung.any():
        return
    box = []
    for axis in (1, 0):
        at = np.flatnonzero(lung.sum(axis=axis) > 0.05 * lung.sum(axis=axis).max())
        low, high = at[0] + rng.integers(-6, 3), at[-1] + 1 + rng.integers(-2, 7)
        box.append(slice(max(0, low), high))
    yield case.pictures.coarse[:, box[0], box[1]]


def _opaque(pictures: BodyPictures, rng: np.random.Generator) -> BodyPictures:
    """Some or all air of one lung turned to soft tissue, in a run of slices."""
    slices, rows, columns = pictures.lung.shape
    first, last = sorted(rng.integers(0, slices + 1, 2)) if slices > 1 else (0, 1)
    from_row = round(pictures.front + pictures.thickness * float(rng.choice([0, 0, 0.36, 0.5])))
    middle = round(pictures.middle)
    side = slice(0, middle) if rng.integers(2) else slice(middle, columns)
    where = (slice(first, last), slice(max(0, from_row), rows), side)
    lung, soft = pictures.lung.copy(), pictures.soft.copy()
    gone = lung[where] * rng.uniform(0.4, 1)
    lung[where] -= gone
    soft[where] += gone
    copy = replace(pictures)
    copy.__dict__.update(lung=lung, soft=soft, bone_edges=pictures.bone_edges, spine=pictures.spine)
    return copy


def print_left_out(cases: Sequence[Case]) -> None:
    real = [case for case in cases if case.kind != "simulated"]
    patients = sorted({case.patient for case in real})
    print(f"{'case':<32}{'view':>14}{'margin':>8}{'head':>8}{'left':>8}")
    for fold in range(FOLDS):
        out = set(patients[fold::FOLDS])
        learned = learn([case for case in cases if case.patient not in out])
        for case in real:
            if case.patient in out:
                found = find_orientation(case.hu, learned)
                assert found is not None
                head, left = (
                    f"{e:8.2f}" if e is not None else "" for e in (found.head, found.left)
                )
                print(f"{case.name:<32}{found.view!s:>14}{found.margin:8.2f}{head:>8}{left:>8}")


if __name__ == "__main__":
    run_script(main)
