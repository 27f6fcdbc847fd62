"""Shows a result: the sections of the panel, the chart, and the slice views with their overlays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
from slicer.util import VTKObservationMixin

from ..scene import chart, results, slices
from ..scene.frames import shows_another_frame
from ..scene.scene_result import SceneResult
from . import slice_views
from .chart_view import ChartView, is_in_view
from .dicom_section import DicomMaker, DicomSection
from .display_section import DisplaySection
from .overlay_section import OverlaySection
from .researcher_section import ResearcherSection
from .result_choice import ResultChoice
from .review import ReviewSection
from .save_section import SaveSection
from .slice_section import SliceSection, annotation_text
from .verdict import VerdictPanel

SECTIONS = ("slice", "overlays", "review", "save", "researcher")


class ResultView(VTKObservationMixin):
    """Shows one result at a time.

    `parameterNode()` is the node bound to the form, None while the module is not open.
    `show_message` shows a sentence below the Screen button. `entry` is the current slice's
    entry in result.json's `slices`, None outside the CT.
    """

    def __init__(
        self,
        ui: Any,
        parameterNode: Callable[[], Any],
        show_message: Callable[[str], None],
        dicom_maker: DicomMaker,
    ) -> None:
        VTKObservationMixin.__init__(self)
        self.ui = ui
        self.result: SceneResult | None = None
        self.entry: dict[str, Any] | None = None
        self._content: dict[str, Any] | None = None
        self._parameterNode = parameterNode
        self.verdict = VerdictPanel(ui)
        self.display = DisplaySection(ui)
        self._choice = ResultChoice(ui, self.show)
        self._slice = SliceSection(ui, self.jump_to)
        self._overlays = OverlaySection(ui, show_message)
        self._review = ReviewSection(ui, self.onRecordReview)
        self._save = SaveSection(ui, lambda: self.result)
        self._dicom = DicomSection(ui, dicom_maker, self._save.show_message)
        self._researcher = ResearcherSection(ui, self.apply_overlays)
        self._chart = ChartView(self.jump_to)
        self.slice_observer = slice_views.SliceObserver(self.onSliceChanged)
        self._connect_buttons()
        self._fill_sections(None)

    def _connect_buttons(self) -> None:
        for button, slot in {
            "previousButton": lambda: self.jump_to(self._suspicious(-1)),
            "suspiciousButton": self.jump_to_most_suspicious,
            "nextButton": lambda: self.jump_to(self._suspicious(1)),
        }.items():
            getattr(self.ui, button).connect("clicked(bool)", slot)
        self.ui.chartCheckBox.connect("toggled(bool)", self.onShowChart)

    def onEnter(self) -> None:
        """The module was opened: follow the axial slice view."""
        self.slice_observer.observe()
        self.onSliceChanged()

    def onExit(self) -> None:
        """Another module was opened: leave no observer and no text in the slice views."""
        self.slice_observer.removeObservers()
        slice_views.set_annotation(slice_views.axial_node(), "")

    def cleanup(self) -> None:
        """The widget is deleted: leave nothing behind, and the user's layout as it was."""
        self.onExit()
        self._chart.hide()
        self.removeObservers()

    def reset(self) -> None:
        """The scene is being closed."""
        self.slice_observer.removeObservers()
        self.display.reset()
        self.show(None)
        self.ui.chartCheckBox.checked = False

    # Which result is shown

    def show_volume(self, volume: Any) -> None:
        """Show the selected result of this CT, or that there is none."""
        self.show(self._choice.of(results.results_of(volume) if volume is not None else []))

    def add(self, result: SceneResult, is_of_input: bool) -> None:
        """A screening is done; show its result if it is of the selected CT."""
        self.display.onResult(result.volume)
        self._choice.select(result)
        if is_of_input:
            self.show(result)
            self.jump_to_most_suspicious()

    def show(self, result: SceneResult | None) -> None:
        """Fill every section from `result`, or empty them; does nothing if it is shown already."""
        content = result.content if result else None
        is_shown = result is not None and result == self.result and content is self._content
        self._observe_frames(result)
        self.result, self._content = result, content
        if not is_shown:
            self._fill_sections(result)

    def show_saved_chart(self) -> None:
        """Check the chart's box if the scene was saved with the chart in view."""
        if is_in_view(self.result):
            self.ui.chartCheckBox.checked = True

    def _fill_sections(self, result: SceneResult | None) -> None:
        for name in SECTIONS:
            getattr(self.ui, f"{name}CollapsibleButton").visible = result is not None
        self.ui.keepPreviousCheckBox.visible = result is not None
        self.entry = None
        self.onShowChart(self.ui.chartCheckBox.checked)
        self._researcher.show_slice(None, None, False)
        self._researcher.show_result(result)
        self._overlays.show_result(result)
        self._save.show_result(result)
        self._dicom.show_result(result)
        self._review.show(result.review if result else {})
        if result is None:
            self.verdict.show_nothing()
            return
        self.verdict.show_result(result.content)
        self.onFrameChanged()
        self._slice.show_result(result.content)
        self.onSliceChanged()
        self.apply_overlays()

    def _observe_frames(self, result: SceneResult | None) -> None:
        """A CT in a sequence may show another frame than the one that was screened."""
        changed = slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent
        self.removeObservers(self.onFrameChanged)
        if result is not None and result.frame and result.volume is not None:
            self.addObserver(result.volume, changed, self.onFrameChanged)

    def onFrameChanged(self, caller: Any = None, event: Any = None) -> None:
        if self.result is not None:
            self.verdict.show_frame(self.result.frame, shows_another_frame(self.result))

    def onRecordReview(self, opinion: str, note: str) -> None:
        if self.result is not None:
            self.result.set_review(opinion, note)
            self._review.show(self.result.review)

    # The slice views

    def apply_overlays(self) -> None:
        """Bring the overlays, legends and the crop rectangle up to date."""
        if self._parameterNode() is not None:
            attention = self._researcher.attention(self.result, self.entry)
            self._overlays.apply(self._parameterNode(), attention)
            self._update_researcher()

    def _update_researcher(self) -> None:
        if self._parameterNode() is not None:
            self._researcher.show_slice(self.result, self.entry, self._parameterNode().showCrop)

    def onSliceChanged(self) -> None:
        """Show the values of the slice in the axial view."""
        node = slice_views.axial_node()
        if self.result is None or self.result.volume is None or node is None:
            slice_views.set_annotation(node, "")
            return
        anchor = slices.position_of(self.result, 0)
        entry = slices.slice_at(self.result, slice_views.nearest_point(node, anchor))
        if entry is not None and entry == self.entry:
            return
        self.entry = entry
        self._slice.show_slice(entry)
        self._slice.enable_navigation(
            self._suspicious(-1) is not None, self._suspicious(1) is not None
        )
        slice_views.set_annotation(node, annotation_text(entry))
        if entry is not None:
            chart.mark_slice(self.result, entry["index"])
        if self._researcher.shows_attention:
            self.apply_overlays()
        else:
            self._update_researcher()

    def jump_to(self, index: int | None) -> None:
        """Show the slice with this `index` in the axial views; None is ignored."""
        if self.result is not None and index is not None:
            slice_views.jump_to(slices.position_of(self.result, index))

    def jump_to_most_suspicious(self) -> None:
        if self.result is not None:
            self.jump_to(slices.most_suspicious(self.result))

    def _suspicious(self, step: int) -> int | None:
        """The next (1) or previous (-1) slice that is not classified as Healthy."""
        if self.result is None or self.entry is None:
            return None
        return slices.suspicious_neighbour(self.result, self.entry["index"], step)

    def onShowChart(self, shown: bool) -> None:
        if shown and self.result is not None:
            self._chart.show(self.result)
        else:
            self._chart.hide()
