"""How long the window stands still while a CT is screened: python -m Testing.benchmarks.event_loop

Drives the module's widget and logic on a real MRML scene with a real child process and
prints the seconds from click to the first change, to the provisional and the final
verdict, and the longest block of the event loop.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
TICK_MS = 2


class Watch:
    """Ticks in the event loop: the longest time between two ticks, seconds.

    `longest` by the clock, `busiest` by the processor time of this thread: the first
    is longer where the child has to share a core with the window.
    """

    def __init__(self, qt: Any) -> None:
        self.restart()
        self._timer = qt.QTimer()
        self._timer.connect("timeout()", self._tick)
        self._timer.start(TICK_MS)

    def _tick(self) -> None:
        clock, busy = time.perf_counter(), time.thread_time()
        self.longest = max(self.longest, clock - self._clock)
        self.busiest = max(self.busiest, busy - self._busy)
        self._clock, self._busy = clock, busy

    def restart(self) -> None:
        """Forget what was before."""
        self.longest = self.busiest = 0.0
        self._clock, self._busy = time.perf_counter(), time.thread_time()


class Longest(NamedTuple):
    """Of the time between two ticks, seconds."""

    clock: float = 0.0
    busy: float = 0.0


def opened_widget(module_file: Path) -> Any:
    """The module as Slicer opens it."""
    from Testing.stand_ins.slicer_application import a_parent, install

    install(module_file)
    sys.path.append(str(module_file.parent))
    from M3LungScreen import M3LungScreenWidget

    parent = a_parent()
    widget = M3LungScreenWidget(parent)
    widget.setup()
    parent.isEntered = True
    widget.enter()
    parent.show()
    return widget


def screen(widget: Any, watch: Watch, seconds: float) -> dict[str, float]:
    """Click and wait for the end; what happened when, in seconds from the click."""
    import slicer

    watch.restart()
    start = time.perf_counter()
    times: dict[str, float] = {}
    widget.ui.screenButton.click()
    times["click"] = time.perf_counter() - start
    computing = Longest()
    watch.restart()
    while widget.logic.status.state.busy and time.perf_counter() - start < seconds:
        slicer.app.processEvents()
        time.sleep(TICK_MS / 1000)
        state = widget.logic.status.state.value
        times.setdefault(state, time.perf_counter() - start)
        if widget.logic.status.state.busy:
            computing = Longest(watch.longest, watch.busiest)
    slicer.app.processEvents()
    times.setdefault(widget.logic.status.state.value, time.perf_counter() - start)
    return {
        **times,
        "longest block while computing": computing.clock,
        "of processor time": computing.busy,
        "longest with the result's arrival": watch.longest,
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--slices", type=int, default=60)
    arguments.add_argument("--matrix", type=int, default=256)
    arguments.add_argument("--runs", type=int, default=2, choices=(1, 2))
    arguments.add_argument("--ct", type=Path, help="a real CT instead of a simulated patient")
    arguments.add_argument("--picture", type=Path, help="where a PNG of the panel goes")
    arguments.add_argument("--views", type=Path, help="where a PNG of the slice views goes")
    chosen = arguments.parse_args()
    import slicer

    from Testing.stand_ins.mrml_scene import SceneOfSlicer, add_volume, ijk_to_ras_of

    kept = SceneOfSlicer(Path(tempfile.mkdtemp()))
    slicer.mrmlScene = kept.scene
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(kept.scene)
    view = kept.scene.AddNewNodeByClass("vtkMRMLSliceNode")
    view.SetLayoutName("Red")
    view.SetOrientation("Axial")
    volume = patient(chosen.ct, chosen.slices, chosen.matrix)
    name = chosen.ct.name if chosen.ct else "Simulated patient"
    add_volume(kept.scene, volume.hu, ijk_to_ras_of(volume.geometry), name)
    widget = opened_widget(ROOT / "M3LungScreen" / "M3LungScreen.py")
    watch = Watch(sys.modules["qt"])
    for run in ("cold", "warm")[: chosen.runs]:
        times = screen(widget, watch, 900.0)
        said = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in times.items())
        print(f"{run}: {said}", flush=True)
    if chosen.picture:
        picture(widget).save(str(chosen.picture))
    if chosen.views:
        views(kept.scene, chosen.views)
    print(widget.logic.status.message or widget.ui.verdictLabel.text)
    widget.cleanup()


def picture(widget: Any) -> Any:
    """The panel from the input to the slice, as wide as Slicer's dock."""
    import slicer

    for name in ("overlays", "review", "save", "researcher", "models"):
        getattr(widget.ui, f"{name}CollapsibleButton").hide()
    for _ in range(3):
        widget.parent.resize(430, widget.parent.sizeHint.height())
        slicer.app.processEvents()
    below = widget.ui.sliceCollapsibleButton
    height = below.y + below.sizeHint.height()
    return widget.parent.grab().copy(0, 0, 430, min(height + 12, widget.parent.height))


def views(scene: Any, path: Path) -> None:
    """Axial, coronal and sagittal views through the largest value of the location map."""
    import numpy as np
    from M3LungScreenSlicer.scene import results, slices
    from PIL import Image

    from Testing.stand_ins.slice_pictures import SlicePicture

    result = results.results_in(scene)[0]
    place = slices.position_of(result, slices.most_suspicious(result))
    seen = []
    for orientation in ("Axial", "Coronal", "Sagittal"):
        layers = {"foreground": result.location_map, "label": result.label_map}
        view = SlicePicture(
            scene, result.volume, orientation=orientation, size=(400, 400), **layers
        )
        view.look_at(place if orientation == "Axial" else (place[0] + 60, place[1] - 10, place[2]))
        seen.append(view.pixels())
    Image.fromarray(np.concatenate(seen, axis=1)).save(path)


def patient(path: Path | None, slices: int, matrix: int) -> Any:
    """The CT to screen."""
    from M3LungScreenLib import read_ct, simulate_patient

    if path is not None:
        return read_ct(path)
    thickness = 300 / slices
    return simulate_patient(
        "covid19", 3, slice_count=slices, slice_thickness_mm=thickness, matrix=matrix
    ).volume


if __name__ == "__main__":
    main()
