"""The network's output for the current slice, the table of slices, and the buttons."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import qt
from slicer.i18n import translate

from M3LungScreenLib.classes import CLASSES, class_by_key
from M3LungScreenLib.outputs.wording import percent

from . import wording

ROW_HEIGHT = 22
CLASS_COLUMN = 1


class SliceSection:
    """Shows the current slice; `jump` gets the index of a clicked row's slice."""

    def __init__(self, ui: Any, jump: Callable[[int], None]) -> None:
        self.ui = ui
        self._jump = jump
        self._rows: dict[int, int] = {}
        columns = [
            translate("M3LungScreen", "Slice"),
            translate("M3LungScreen", "Class"),
            translate("M3LungScreen", "Lesion"),
            translate("M3LungScreen", "Weight"),
            translate("M3LungScreen", "Involved"),
        ]
        ui.sliceTable.setColumnCount(len(columns))
        ui.sliceTable.setHorizontalHeaderLabels(columns)
        ui.sliceTable.verticalHeader().hide()
        ui.sliceTable.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        header = ui.sliceTable.horizontalHeader()
        header.setSectionResizeMode(qt.QHeaderView.Stretch)
        # 'ResizeToContents' would look at all rows again with each cell that is filled.
        header.setSectionResizeMode(CLASS_COLUMN, qt.QHeaderView.Interactive)
        ui.sliceTable.connect("cellClicked(int,int)", self.onCellClicked)

    def show_result(self, content: Mapping[str, Any]) -> None:
        """Fill the table with the screened slices, head first as a reader scrolls."""
        screened = [each for each in content["slices"] if each["screened"]]
        self._rows = {each["index"]: row for row, each in enumerate(screened)}
        table = self.ui.sliceTable
        table.setUpdatesEnabled(False)
        table.setRowCount(len(screened))
        for row, each in enumerate(screened):
            for column, text in enumerate(table_row(each)):
                table.setItem(row, column, qt.QTableWidgetItem(text))
        table.resizeColumnToContents(CLASS_COLUMN)
        table.setUpdatesEnabled(True)
        self.show_slice(None)

    def show_slice(self, entry: Mapping[str, Any] | None) -> None:
        """Show the `slices` entry of the axial view's position; None outside the CT."""
        self.ui.sliceLabel.text = slice_text(entry)
        row = self._rows.get(entry["index"]) if entry else None
        if row is None:
            self.ui.sliceTable.clearSelection()
        else:
            self.ui.sliceTable.selectRow(row)
            self.ui.sliceTable.scrollToItem(self.ui.sliceTable.item(row, 0))

    def enable_navigation(self, before: bool, after: bool) -> None:
        """Enable the buttons to the suspicious slices before and after this one."""
        ui = self.ui
        ui.previousButton.enabled, ui.nextButton.enabled = before, after
        ui.previousButton.toolTip = (
            translate("M3LungScreen", "Go to the previous slice that is not classified as Healthy.")
            if before
            else translate("M3LungScreen", "All slices before this one are classified as Healthy.")
        )
        ui.nextButton.toolTip = (
            translate("M3LungScreen", "Go to the next slice that is not classified as Healthy.")
            if after
            else translate("M3LungScreen", "All slices after this one are classified as Healthy.")
        )

    def onCellClicked(self, row: int, column: int) -> None:
        index = next(index for index, at in self._rows.items() if at == row)
        self._jump(index)


def table_row(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """The table's row of a screened slice: index, class, P(lesion), weight, involvement."""
    return (
        str(entry["index"]),
        f"{wording.SIGNS[entry['predicted']]} {class_by_key(entry['predicted']).name}",
        percent(entry["p_lesion"]),
        f"{entry['weight']:.3f}" if entry["weight"] is not None else "–",
        percent(entry["involvement"]),
    )


def slice_text(entry: Mapping[str, Any] | None) -> str:
    """Class, P(lesion), probabilities, weight and involvement of a slice as rich text."""
    if entry is None:
        return translate("M3LungScreen", "The axial view is outside the screened CT.")
    title = "<b>" + translate("M3LungScreen", "Slice {index}").format(index=entry["index"]) + "</b>"
    if not entry["informative"]:
        return f"{title}: " + translate("M3LungScreen", "no lung in this slice.")
    if not entry["screened"]:
        return f"{title}: " + translate("M3LungScreen", "not screened in this preview.")
    shares = entry["probabilities"]
    parts = [wording.class_with(each.key, wording.share_text(shares[each.key])) for each in CLASSES]
    lesion = translate("M3LungScreen", "Lesion {share}")
    facts = [lesion.format(share=wording.share_text(entry["p_lesion"]))]
    if entry["weight"] is not None:
        weight = translate("M3LungScreen", "weight {number}")
        facts.append(weight.format(number=f"{entry['weight']:.3f}"))
    facts.append(
        translate("M3LungScreen", "{share} of lung involved").format(
            share=wording.share_text(entry["involvement"])
        )
    )
    head = f"{title}: <b>{wording.class_name(entry['predicted'])}</b>"
    return f"{head}<br>{', '.join(facts)}<br>{'&nbsp; '.join(parts)}"


def annotation_text(entry: Mapping[str, Any] | None) -> str:
    """The slice in one line of plain text for the slice view, '' if it was not screened."""
    if entry is None or not entry["screened"]:
        return ""
    called = entry["predicted"]
    facts = translate("M3LungScreen", "lesion {p_lesion} · {involved} involved").format(
        p_lesion=percent(entry["p_lesion"]), involved=percent(entry["involvement"])
    )
    return f"{class_by_key(called).name} {percent(entry['probabilities'][called])} · {facts}"
