"""The lung window: it comes with the first result, and the user's own window stays."""

import pytest

from Testing.stand_ins.clicks import screen
from Testing.stand_ins.mrml_scene import add_volume, ijk_to_ras_of


def window_of(volume):
    return volume.GetDisplayNode().GetWindow(), volume.GetDisplayNode().GetLevel()


def set_window(volume, window, level):
    volume.GetDisplayNode().AutoWindowLevelOff()
    volume.GetDisplayNode().SetWindowLevel(window, level)


def test_the_lung_window_comes_with_the_result_and_goes_back(
    a_small_ct, open_module, result_folder
):
    set_window(a_small_ct, 350, 40)
    widget = open_module()
    screen(widget, result_folder()[1])
    assert window_of(a_small_ct) == (1200, -600)
    widget.ui.windowBackButton.click()
    assert window_of(a_small_ct) == (350, 40)
    assert not widget.ui.windowBackButton.enabled
    widget.ui.lungWindowButton.click()
    assert window_of(a_small_ct) == (1200, -600)


def test_a_ct_loaded_into_the_open_module_gets_the_lung_window_with_its_result(
    scene, make_result, a_slice_view, open_module, settled, result_folder
):
    widget = open_module()
    volume = make_result().volume
    loaded = add_volume(scene, volume.hu, ijk_to_ras_of(volume.geometry))
    set_window(loaded, 400, 40)
    settled()
    screen(widget, result_folder()[1])
    assert window_of(loaded) == (1200, -600)


@pytest.mark.parametrize("when", ["before the click", "during the run"])
def test_a_window_that_the_user_chose_stays(a_small_ct, open_module, result_folder, when):
    set_window(a_small_ct, 350, 40)
    widget = open_module()

    def choose_bone():
        set_window(a_small_ct, 2000, 500)

    if when == "before the click":
        choose_bone()
    screen(widget, result_folder()[1], choose_bone)
    assert window_of(a_small_ct) == (2000, 500)


def test_a_window_that_the_user_went_back_to_stays_with_the_next_result(
    widget, a_small_ct, result_folder
):
    screen(widget, result_folder()[1])
    widget.ui.windowBackButton.click()
    before = window_of(a_small_ct)
    assert before != (1200, -600)
    screen(widget, result_folder("cap")[1])
    assert window_of(a_small_ct) == before
