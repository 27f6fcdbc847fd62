"""Training goes on a machine that has torch, Lightning, NumPy and SciPy but no image libraries."""

import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
ABSENT = (
    "SimpleITK skimage PIL pydicom sklearn torchvision safetensors jinja2 matplotlib "
    "vtk tensorboard"
)
SCRIPT = """
import sys
for name in {absent!r}.split():
    sys.modules[name] = None  # importing it is an ImportError
from pathlib import Path
import Training.average_weights, Training.train_patient, Training.train_slice
from Training.learning.fabric import make_fabric
make_fabric("cpu", "float32", Path({folder!r}))
from Training.config import TrainingConfig
from Training.sources.simulated_slices import Source, make_pair, make_slices
config = TrainingConfig()
model = config.model
made = [
    make_slices(make_pair(source, Path({folder!r})), source, config.data, model.preprocessing)
    for source in (Source("cap", 1, "chest"), Source("covid19", 2))
]
print([len(each) for each in made])
"""


def test_samples_are_made_and_scripts_imported_without_image_libraries(tmp_path: Path):
    _, y, x = np.mgrid[:12, :64, :64]
    lungs = np.uint8(np.hypot(y - 32, (x - 32) % 24 - 12) < 11) * np.where(x < 32, 1, 2)
    hu = np.where(lungs > 0, -850, 40).astype(np.int16)
    np.savez(tmp_path / "chest.npz", hu=hu, lungs=np.uint8(lungs), spacing_mm=np.array([5, 5, 8]))
    code = SCRIPT.format(absent=ABSENT, folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told, counts = done.stdout.strip().splitlines()
    assert told.startswith("TensorBoard is not installed")
    assert min(map(int, counts.strip("[]").split(","))) > 0
