"""Frames of a sequence: which one a volume shows, and which one was screened."""

from __future__ import annotations

from typing import Any

from slicer.i18n import translate

from .nodes import nodes_of_class
from .scene_result import SceneResult


def frame_of(volume: Any) -> dict[str, Any]:
    """The frame that a sequence shows in `volume`: 'number' from 0, and 'words' that describe it.

    Empty for a volume in which no sequence shows its frames.
    """
    browser = _browser(volume)
    if browser is None:
        return {}
    number, master = browser.GetSelectedItemNumber(), browser.GetMasterSequenceNode()
    index = (master.GetIndexName(), master.GetNthIndexValue(number), master.GetIndexUnit())
    words = translate("M3LungScreen", "frame {number} of {count} ({index}) of {name}").format(
        number=number + 1,
        count=browser.GetNumberOfItems(),
        index=" ".join(each for each in index if each),
        name=browser.GetSequenceNode(volume).GetName(),
    )
    return {"number": number, "words": words}


def shows_another_frame(result: SceneResult) -> bool:
    """Whether the CT of `result` shows another frame now than the one that was screened."""
    now = frame_of(result.volume) if result.volume is not None else {}
    return bool(now and result.frame) and now["number"] != result.frame["number"]


def _browser(volume: Any) -> Any:
    scene = volume.GetScene()
    browsers = nodes_of_class(scene, "vtkMRMLSequenceBrowserNode") if scene else []
    return next((each for each in browsers if each.IsProxyNodeID(volume.GetID())), None)
