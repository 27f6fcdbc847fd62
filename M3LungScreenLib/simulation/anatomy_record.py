"""The random parameters of a chest (size, sex, organs, density), in one frozen record.

Lengths are mm in body coordinates: z from the lung bases up, y from the middle of
the chest to the back, x from the midline to the patient's left.
"""

from dataclasses import dataclass

import numpy as np

# Height × half width × half depth: lungs of about 2 to 7 liters.
CAGE_MM3 = (1.5e6, 4.3e6)


@dataclass(frozen=True)
class AnatomyRecord:
    """One chest. `half_width` and `half_depth` are those of the inside of the rib cage."""

    female: bool
    lung_height: float
    half_width: float
    half_depth: float
    squareness: float
    wall: float
    fat: float
    breast: float
    heart: float
    heart_shift: float
    mediastinum: float
    domes: tuple[float, float]
    spine_radius: float
    rib_gap: float
    rib_slope: float
    trachea: float
    blood_hu: float
    lung_hu: float
    gradient_hu: float
    patchiness_hu: float
    dependent_hu: float
    dependent_mm: float
    vessel_leaves: int
    vessel_radius: float
    fissure: float
    gas: float
    table_gap: float
    table_bend: float
    arms_down: bool
    clothes_hu: float
    seed: int


def draw_anatomy(rng: np.random.Generator) -> AnatomyRecord:
    """A person of either sex and almost any size."""
    female = bool(rng.integers(2))
    size = rng.normal(0.95 if female else 1.04, 0.06)
    cage = np.array([250, 132, 94]) * size * rng.normal(1, (0.09, 0.05, 0.1))
    cage *= np.cbrt(np.clip(cage.prod(), *CAGE_MM3) / cage.prod())
    fat = float(np.clip(rng.lognormal(np.log(13), 0.55), 3, 50))
    return AnatomyRecord(
        female=female,
        lung_height=float(np.clip(cage[0], 185, 320)),
        half_width=float(np.clip(cage[1], 100, 165)),
        half_depth=float(np.clip(cage[2], 68, 126)),
        squareness=float(rng.uniform(2.1, 2.7)),
        wall=float(rng.uniform(13, 23)),
        fat=fat,
        breast=float(rng.uniform(10, 34) + 0.4 * fat) if female else 0.0,
        heart=float(rng.uniform(0.85, 1.2)),
        heart_shift=float(rng.uniform(8, 22)),
        mediastinum=float(rng.uniform(0.8, 1.2)),
        domes=(float(rng.uniform(0.2, 0.42)), float(rng.uniform(0.16, 0.36))),
        spine_radius=float(rng.uniform(15, 20)),
        rib_gap=float(rng.uniform(24, 32)),
        rib_slope=float(rng.uniform(0.35, 0.7)),
        trachea=float(rng.uniform(6.5, 10)),
        blood_hu=float(rng.choice([45.0, rng.uniform(120, 300)], p=[0.7, 0.3])),
        lung_hu=float(np.clip(rng.normal(-868, 32), -930, -770)),
        gradient_hu=float(rng.uniform(10, 85)),
        patchiness_hu=float(rng.uniform(4, 22)),
        dependent_hu=float(rng.choice([0.0, rng.uniform(60, 380)], p=[0.45, 0.55])),
        dependent_mm=float(rng.uniform(3, 13)),
        vessel_leaves=int(rng.integers(600, 1200)),
        vessel_radius=float(rng.uniform(0.5, 0.76)),
        fissure=float(max(0.0, rng.uniform(-0.4, 0.6))),
        gas=float(rng.uniform(0, 1)),
        table_gap=float(rng.uniform(0, 25)),
        table_bend=float(rng.uniform(0, 0.0022)),
        arms_down=bool(rng.uniform() < 0.08),
        clothes_hu=float(rng.choice([-1000.0, rng.uniform(-930, -600)], p=[0.4, 0.6])),
        seed=int(rng.integers(2**31)),
    )
