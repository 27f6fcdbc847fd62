"""The current slice: its values, the buttons to other slices, the table and the view's text."""

from M3LungScreenLib.outputs.wording import percent
from Testing.stand_ins.clicks import screen


def test_a_result_begins_at_the_slice_most_telling_for_its_verdict(screened):
    slices = [e for e in screened.results.result.content["slices"] if e["screened"]]
    best = max(slices, key=lambda each: each["probabilities"]["covid19"] * each["involvement"])
    assert f"Slice {best['index']}" in screened.ui.sliceLabel.text


def test_a_second_run_tells_of_the_slice_again(screened, result_folder):
    screen(screened, result_folder("cap")[1])
    index = screened.results.entry["index"]
    assert screened.ui.sliceLabel.text.startswith(f"<b>Slice {index}</b>")
    assert "CAP</b>" in screened.ui.sliceLabel.text


def test_next_and_previous_stay_on_slices_not_called_healthy(screened):
    found = [
        e["index"] for e in screened.results.result.content["slices"] if e["predicted"] == "covid19"
    ]
    screened.results.jump_to(found[0])
    screened.ui.nextButton.click()
    assert screened.results.entry["index"] == found[1]
    screened.ui.previousButton.click()
    assert screened.results.entry["index"] == found[0]
    assert screened.ui.nextButton.enabled
    assert not screened.ui.previousButton.enabled
    assert "All slices before this one" in screened.ui.previousButton.toolTip
    screened.ui.suspiciousButton.click()
    assert screened.results.entry["index"] in found


def test_a_click_on_a_row_jumps_to_its_slice(screened):
    table = screened.ui.sliceTable
    index = int(table.item(2, 0).text())
    table.cellClicked.emit(2, 1)
    assert screened.results.entry["index"] == index
    assert f"Slice {index}" in screened.ui.sliceLabel.text
    assert table.currentRow() == 2


def test_the_slice_view_itself_tells_of_the_slice_in_one_line(screened, layout_manager):
    screened.ui.sliceTable.cellClicked.emit(12, 0)
    text = layout_manager.annotation("Red")
    entry = screened.results.entry
    assert text.startswith(f"COVID-19 {percent(entry['probabilities']['covid19'])} · lesion ")
    assert text.endswith(f"{percent(entry['involvement'])} involved")
    assert "\n" not in text
    screened.exit()
    assert layout_manager.annotation("Red") == ""
