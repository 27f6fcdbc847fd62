"""What the module shows, as PNGs to look at: python -m Testing.benchmarks.module_pictures FOLDER

A simulated patient goes through the module's widget, logic and child process on a real
MRML scene; slice views and chart are drawn offscreen (VTK needs EGL or Mesa), the report
by Chromium where there is one. Those of the README lie in Resources/Screenshots.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from Testing.benchmarks.event_loop import ROOT, opened_widget, picture

PATIENCE_S = 300
VIEW = (520, 420)
REPORT = "1000,1480"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--class", dest="key", default="covid19")
    arguments.add_argument("--seed", type=int, default=11)
    chosen = arguments.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    widget, view = opened(chosen.key, chosen.seed)
    installing(widget, chosen.folder / "state_0_installing.png")
    states(widget, chosen.folder)
    slice_views(widget, view, chosen.folder / "slice_view.png")
    researcher(widget, view, chosen.folder / "attention.png")
    chart(widget, chosen.folder / "chart.png")
    report(widget, chosen.folder / "report.png")
    whole_panel(widget, chosen.folder / "panel_whole.png")
    picture(widget).save(str(chosen.folder / "panel.png"))
    widget.cleanup()


def opened(key: str, seed: int) -> tuple[Any, Any]:
    """The module opened on a simulated patient, and the axial view beside it."""
    import slicer

    from M3LungScreenLib import simulate_patient
    from Testing.stand_ins.layout import LayoutManager
    from Testing.stand_ins.mrml_scene import SceneOfSlicer, add_volume, ijk_to_ras_of
    from Testing.stand_ins.view_pictures import SliceView

    kept = SceneOfSlicer(Path(tempfile.mkdtemp()))
    slicer.mrmlScene = kept.scene
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(kept.scene)
    node = kept.scene.AddNewNodeByClass("vtkMRMLSliceNode")
    node.SetLayoutName("Red")
    node.SetOrientation("Axial")
    view = SliceView(kept.scene, node, VIEW)
    volume = simulate_patient(key, seed, slice_thickness_mm=5.0).volume
    add_volume(kept.scene, volume.hu, ijk_to_ras_of(volume.geometry), "Simulated patient")
    widget = opened_widget(ROOT / "M3LungScreen" / "M3LungScreen.py")
    slicer.app.layout_manager = LayoutManager({"Red": view.corner})
    widget.kept = kept
    view.fit()
    return widget, view


def installing(widget: Any, path: Path) -> None:
    """The panel while pip downloads; no pip is run."""
    from M3LungScreenSlicer.installation import Plan
    from M3LungScreenSlicer.installer import Installer

    from Testing.stand_ins.pip import Pip

    pip, logic = Pip(), widget.logic
    own, logic._installer = logic._installer, Installer(pip)
    widget.screening.install(Plan((), (("-m", "pip", "install", "torch>=2.8"),)))
    pip.last.say("Downloading https://download.pytorch.org/whl/cpu/torch-2.9.0.whl (812.4 MB)")
    pip.last.say("Progress 41 of 100")
    save_panel(widget, path)
    logic.stop_installation()
    logic._installer = own
    widget.screening.update_status()
    widget.updateGUIFromParameterNode()


def states(widget: Any, folder: Path) -> None:
    """The panel empty, running, provisional and with the result; the click is a real one."""
    save_panel(widget, folder / "state_1_empty.png")
    widget.ui.screenButton.click()
    for number, state in enumerate(("running", "provisional", "done"), start=2):
        wait_for(widget, state)
        save_panel(widget, folder / f"state_{number}_{state}.png")


def wait_for(widget: Any, state: str) -> None:
    """Let the event loop run until the screening is in `state`."""
    import slicer

    end = time.monotonic() + PATIENCE_S
    while widget.logic.status.state.value != state and time.monotonic() < end:
        slicer.app.processEvents()
        time.sleep(0.002)
    assert widget.logic.status.state.value == state, widget.logic.status


def save_panel(widget: Any, path: Path) -> None:
    import slicer

    for _ in range(3):
        widget.parent.resize(430, widget.parent.sizeHint.height())
        slicer.app.processEvents()
    widget.parent.grab().save(str(path))


def slice_views(widget: Any, view: Any, path: Path) -> None:
    """The axial view with the location map, and with the label map."""
    import numpy as np
    from PIL import Image

    widget.results.jump_to_most_suspicious()
    seen = []
    for name in ("locationMapCheckBox", "labelMapCheckBox"):
        for other in ("locationMapCheckBox", "labelMapCheckBox"):
            getattr(widget.ui, other).checked = other == name
        widget.results.entry = None
        widget.results.onSliceChanged()
        view.save(path)
        seen.append(np.asarray(Image.open(path)))
    Image.fromarray(np.concatenate(seen, axis=1)).save(path)
    widget.ui.locationMapCheckBox.checked = True


def researcher(widget: Any, view: Any, path: Path) -> None:
    """The network's own map, mean of the windows, in the crop rectangle."""
    selector = widget.ui.attentionSelector
    widget.ui.cropCheckBox.checked = True
    for index in (1, 0):
        selector.currentIndex = index
        selector.activated.emit(index)
        if index:
            view.save(path)
    widget.ui.cropCheckBox.checked = False


def chart(widget: Any, path: Path) -> None:
    from Testing.stand_ins.view_pictures import save_chart

    save_chart(widget.results.result.chart, path)


def report(widget: Any, path: Path) -> None:
    """The first page of the report."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        print("No Chromium here: no picture of the report.", file=sys.stderr)
        return
    page = path.with_suffix(".html")
    page.write_text(widget.results.result.report, "utf-8")
    options = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={REPORT}"]
    target = f"--screenshot={path.resolve()}"
    subprocess.run(
        [browser, *options, target, page.resolve().as_uri()], check=True, capture_output=True
    )


def whole_panel(widget: Any, path: Path) -> None:
    """Every section open."""
    names = ("overlays", "review", "save", "researcher", "models")
    for name in names:
        getattr(widget.ui, f"{name}CollapsibleButton").collapsed = False
    save_panel(widget, path)


if __name__ == "__main__":
    main()
