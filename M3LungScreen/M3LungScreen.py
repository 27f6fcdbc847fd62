"""M3LungScreen: pneumonia screening of a loaded chest CT. What Slicer looks for; short."""

import unittest
from collections.abc import Callable
from typing import Any

import slicer
from M3LungScreenSlicer import sample_data
from M3LungScreenSlicer.child_process import ChildProcess
from M3LungScreenSlicer.installation import missing_packages
from M3LungScreenSlicer.library import MODULE_FOLDER, make_importable
from M3LungScreenSlicer.scene.terminology import load_terminology
from M3LungScreenSlicer.screening_logic import ScreeningLogic
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
)

make_importable()

from M3LungScreenSlicer.panel import context_menu  # noqa: E402
from M3LungScreenSlicer.panel.widget import (  # noqa: E402
    M3LungScreenParameterNode,
    M3LungScreenWidget,
)

__all__ = [
    "M3LungScreen",
    "M3LungScreenLogic",
    "M3LungScreenParameterNode",
    "M3LungScreenTest",
    "M3LungScreenWidget",
]

PAPER = "https://arxiv.org/abs/2010.03201"


class M3LungScreen(ScriptedLoadableModule):
    """The module's name, help and acknowledgement."""

    def __init__(self, parent: Any) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = translate("M3LungScreen", "M3LungScreen")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Quantification")]
        parent.dependencies = []
        parent.contributors = ["The M3LungScreen developers (M3LungScreen project)"]
        parent.helpText = translate(
            "M3LungScreen",
            "Screens a chest CT for pneumonia: healthy, COVID-19, H1N1 or community-acquired "
            "pneumonia. Shows the probability of each class, where the lesions are, how much "
            "of each lung is involved, and when not to trust the result. Select the CT and "
            "click Screen.<br><b>Research use only: not for clinical decisions.</b>",
        )
        parent.acknowledgementText = translate(
            "M3LungScreen",
            "The method is that of M<sup>3</sup>Lung-Sys: X. Qian, H. Fu, W. Shi, T. Chen, Y. Fu, "
            "F. Shan, X. Xue, IEEE Journal of Biomedical and Health Informatics, 2020 "
            '(<a href="{paper}">paper</a>). Please cite it when you use this module.',
        ).format(paper=PAPER)
        slicer.app.connect("startupCompleted()", sample_data.register)
        slicer.app.connect("startupCompleted()", context_menu.register)
        slicer.app.connect(
            "startupCompleted()", lambda: load_terminology(slicer.modules.terminologies.logic())
        )


class M3LungScreenLogic(ScreeningLogic, ScriptedLoadableModuleLogic):
    """`slicer.util.getModuleLogic('M3LungScreen').screen(volumeNode)`."""

    def __init__(
        self, scene: Any = None, make_child: Callable[[], ChildProcess] | None = None
    ) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        folder = slicer.app.temporaryPath
        ScreeningLogic.__init__(self, scene or slicer.mrmlScene, make_child, folder)


class M3LungScreenTest(ScriptedLoadableModuleTest):
    """The main path in a real Slicer: a small simulated patient, screened without the GUI."""

    def setUp(self) -> None:
        slicer.mrmlScene.Clear()
        missing = missing_packages(MODULE_FOLDER / "Resources" / "requirements.txt")
        if missing:
            self.skipTest(f"{', '.join(missing)} is missing; click Screen once to install it")

    def runTest(self) -> None:
        """Slicer's button calls this by itself: the tests one by one, by unittest's own rules."""
        names = unittest.defaultTestLoader.getTestCaseNames(type(self))
        outcome = unittest.TextTestRunner().run(unittest.TestSuite(map(type(self), names)))
        for _test, reason in outcome.skipped:
            self.delayDisplay(
                translate("M3LungScreen", "Test skipped: {reason}").format(reason=reason)
            )
        if not outcome.wasSuccessful():
            raise AssertionError(
                "\n".join(text for _test, text in (*outcome.failures, *outcome.errors))
            )

    def test_a_simulated_patient_is_screened(self) -> None:
        volume = self.simulated_patient()
        logic = M3LungScreenLogic()
        result = logic.screen(volume, detail="preview")
        logic.close()
        self.assertAlmostEqual(sum(result.content["patient"]["probabilities"].values()), 1, 5)
        size = volume.GetImageData().GetDimensions()
        for node in (result.location_map, result.label_map):
            self.assertEqual(node.GetImageData().GetDimensions(), size)
        self.assertEqual(result.slices_table.GetNumberOfRows(), size[2])
        self.delayDisplay(translate("M3LungScreen", "Test passed"))

    def test_a_label_map_is_refused(self) -> None:
        from M3LungScreenSlicer.screening_logic import ScreeningFailed

        labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
        with self.assertRaisesRegex(ScreeningFailed, "label map"):
            M3LungScreenLogic().screen(labels)

    def simulated_patient(self) -> Any:
        """30 slices of 96 × 96 with COVID-19, as a node that came from a file."""
        import sitkUtils

        from M3LungScreenLib import simulate_patient

        patient = simulate_patient("covid19", 3, slice_count=30, slice_thickness_mm=8.0, matrix=96)
        image = patient.volume.geometry.with_array(patient.volume.hu)
        return sitkUtils.PushVolumeToSlicer(image, name="Simulated patient")
