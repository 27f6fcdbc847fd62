"""The chart along the volume, the layout that shows it, and the user's layout."""


def test_the_chart_comes_with_a_layout_and_goes_back_to_the_users(screened, layout_manager):
    screened.ui.chartCheckBox.click()
    assert layout_manager.shown is screened.results.result.chart
    layout_manager.click_on_point(7)
    assert screened.results.entry["index"] == 7
    layout_manager.click_on_point(1, series=5)  # the line at the current slice
    assert screened.results.entry["index"] == 7
    screened.ui.chartCheckBox.click()
    assert layout_manager.layout == layout_manager.FOUR_UP
    assert layout_manager.listeners == []


def test_the_chart_of_one_ct_is_not_shown_with_another(
    screened, layout_manager, another_ct, a_small_ct
):
    screened.ui.chartCheckBox.click()
    other = another_ct()
    screened.ui.inputSelector.setCurrentNode(other)
    assert (layout_manager.layout, layout_manager.listeners) == (layout_manager.FOUR_UP, [])
    screened.ui.inputSelector.setCurrentNode(a_small_ct)
    assert layout_manager.layout == layout_manager.WITH_PLOT
    layout_manager.setLayout(2)  # by the user
    screened.ui.inputSelector.setCurrentNode(other)
    assert layout_manager.layout == 2


def test_the_users_layout_comes_back_when_the_scene_is_closed(
    screened, layout_manager, scene, settled
):
    screened.ui.chartCheckBox.click()
    assert layout_manager.layout == layout_manager.WITH_PLOT
    scene.Clear(False)
    settled()
    assert layout_manager.layout == layout_manager.FOUR_UP
    assert not screened.ui.chartCheckBox.checked
