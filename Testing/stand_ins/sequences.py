"""A sequence of CT frames with its browser, as the Sequences module makes them."""

from typing import Any

import numpy as np
import slicer

from Testing.stand_ins.mrml_scene import add_volume


def add_sequence(scene: Any, frames: list[np.ndarray], place: np.ndarray, name: str) -> Any:
    """(proxy volume, browser) of a sequence over time whose frames are HU `[k, j, i]`."""
    logic = slicer.vtkSlicerSequencesLogic()
    logic.SetMRMLScene(scene)
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", name)
    sequence.SetIndexName("time")
    sequence.SetIndexUnit("s")
    for number, frame in enumerate(frames):
        volume = add_volume(scene, frame, place, f"{name} {number}")
        sequence.SetDataNodeAtValue(volume, str(2 * number))
        scene.RemoveNode(volume)
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    logic.UpdateProxyNodesFromSequences(browser)
    browser.sequences_logic = logic
    return browser.GetProxyNode(sequence), browser


def show_frame(browser: Any, number: int) -> None:
    """Move the browser to a frame, from 0."""
    browser.SetSelectedItemNumber(number)
    browser.sequences_logic.UpdateProxyNodesFromSequences(browser)
