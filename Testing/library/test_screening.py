from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from M3LungScreenLib.bundle import Bundle
from M3LungScreenLib.ct import CTVolume
from M3LungScreenLib.engines import fallback_engine
from M3LungScreenLib.engines.interface import EngineSummary, PatientScores, SliceOutputs
from M3LungScreenLib.errors import Cancelled, InputRefused
from M3LungScreenLib.events import Event, Notice, Progress, Provisional
from M3LungScreenLib.neighbours import mean_over_neighbours
from M3LungScreenLib.screening import screen
from M3LungScreenLib.settings import PRESETS, with_values
from M3LungScreenLib.simulation.patient import simulate_patient


@dataclass
class BrightnessEngine:
    """Calls a slice a lesion of COVID-19 by its mean brightness; counts what it is given."""

    device: str = "cpu"
    images: int = 0
    feature_rows: list[int] = field(default_factory=list)
    summary = EngineSummary("onnx", "0", "float32")

    def run_slices(self, images: np.ndarray) -> SliceOutputs:
        self.images += len(images)
        bright = images.mean(axis=(1, 2, 3))
        classes = np.tile(np.array([0.1, 0.7, 0.1, 0.1], np.float32), (len(images), 1))
        maps = np.repeat(bright[:, None, None], 7, axis=1).repeat(7, axis=2)
        return SliceOutputs(bright, classes, maps, bright[:, None])

    def run_patient(self, features: np.ndarray) -> PatientScores:
        self.feature_rows.append(len(features))
        count = len(features)
        return PatientScores(np.array([0.0, 2.0, 0.0, 0.0]), np.full(count, 1 / count))


@dataclass
class TornEngine:
    """Random answers; with `ill_slices` only so many slices are likelier ill than not."""

    seed: int
    ill_slices: int | None = None
    device: str = "cpu"
    summary = EngineSummary("onnx", "0", "float32")

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)
        self._seen = 0

    def run_slices(self, images: np.ndarray) -> SliceOutputs:
        count = len(images)
        p_lesion = self._rng.random(count)
        classes = self._rng.dirichlet(np.ones(4), count)
        if self.ill_slices is not None:
            order = self._seen + np.arange(count)
            self._seen += count
            p_lesion = np.where(order < 3 * self.ill_slices, 0.9, 0.05)
            classes = np.tile([0.05, 0.85, 0.05, 0.05], (count, 1))
        maps = self._rng.random((count, 7, 7))
        return SliceOutputs(p_lesion, classes, maps, self._rng.random((count, 5)))

    def run_patient(self, features: np.ndarray) -> PatientScores:
        if self.ill_slices is not None:
            return PatientScores(np.log([0.15, 0.65, 0.1, 0.1]), np.ones(len(features)))
        logits = 4 * features.mean(axis=0)[:4] - features[-1][:4]
        return PatientScores(logits, np.full(len(features), 1 / len(features)))


@pytest.fixture(scope="module")
def a_patient():
    return simulate_patient("covid19", 3, slice_count=40, slice_thickness_mm=8.0, matrix=128)


@pytest.fixture
def a_bundle(tmp_path):
    return Bundle(
        folder=tmp_path,
        name="test",
        version="1",
        sha256="0" * 64,
        settings=PRESETS["compact"],
        card={},
    )


def preview_warning(result):
    [message] = [each.message for each in result.warnings if each.code == "preview"]
    return message


def a_short_volume(patient):
    """Fewer slices than a first look has, all of them with lung."""
    return CTVolume.from_array(patient.volume.hu[14:26].copy(), patient.volume.spacing_mm)


def screened(volume, bundle, **options):
    engine = BrightnessEngine()
    return screen(volume, bundle, engine=engine, **options), engine


def test_every_informative_slice_is_seen_in_every_window(a_patient, a_bundle):
    result, engine = screened(a_patient.volume, a_bundle)
    informative = sum(each.informative for each in result.slices)
    assert 24 < informative <= 40
    assert engine.images == 3 * informative
    assert engine.feature_rows[-1] == informative
    assert [each.index for each in result.slices] == list(range(40))


def test_p_lesion_is_the_mean_over_the_windows_and_eq_4_follows(a_patient, a_bundle):
    result, _ = screened(a_patient.volume, a_bundle)
    one = next(each for each in result.slices if each.informative)
    assert one.probabilities.covid19 == pytest.approx(0.7 * one.p_lesion)
    assert one.probabilities.as_array().sum() == pytest.approx(1)
    assert sum(each.weight or 0 for each in result.slices) == pytest.approx(1)


def test_attention_is_the_row_of_the_predicted_class_in_every_window(a_patient, a_bundle):
    result, _ = screened(a_patient.volume, a_bundle)
    windows = len(result.settings["window_centers_hu"])
    assert set(result.attention) == {each.index for each in result.slices if each.screened}
    for maps in result.attention.values():
        assert maps.shape == (windows, 7, 7)
        assert (maps >= 0.5).all()  # that engine's map is its P(lesion)


def test_uninformative_slices_have_nothing(a_patient, a_bundle):
    result, _ = screened(a_patient.volume, a_bundle)
    empty = [each for each in result.slices if not each.informative]
    assert all(
        each.p_lesion is each.probabilities is each.crop is each.weight is None for each in empty
    )


def test_a_provisional_verdict_comes_after_the_first_look_and_before_the_end(a_patient, a_bundle):
    heard = []
    screened(a_patient.volume, a_bundle, progress=heard.append)
    provisional = [event for event in heard if isinstance(event, Provisional)]
    assert [event.slices_screened for event in provisional] == [24]
    assert heard.index(provisional[0]) < len(heard) - 5
    steps = [event.step for event in heard if isinstance(event, Progress)]
    assert steps == sorted(
        steps, key=["preprocess", "slice_network", "patient_network", "localization"].index
    )


@hypothesis_settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10_000), st.integers(8, 24), st.booleans())
def test_a_provisional_verdict_from_all_slices_is_the_final_one(
    a_patient, a_bundle, seed, count, coarse
):
    """Neighbours, a part's temperature, the windows' spread and doubts weigh in both alike."""
    rng = np.random.default_rng(seed)
    changed = {
        "assessment.neighbour_sigma_mm": float(rng.choice([0.0, 6.0, 12.0])),
        "assessment.slab_temperature": float(rng.uniform(1, 3)),
        "assessment.temperature": float(rng.uniform(0.5, 2)),
        "assessment.maximum_spread_over_windows": float(rng.choice([0.001, 0.5])),
        "assessment.healthy_fraction_threshold": float(rng.uniform(0.5, 1)),
    }
    start = int(rng.integers(4, 36 - count))
    part = CTVolume.from_array(
        a_patient.volume.hu[start : start + count].copy(), a_patient.volume.spacing_mm
    )
    if coarse:
        part = replace(part, warnings=(("coarse_pixels", "The pixels are 4.2 mm wide."),))
    bundle = replace(a_bundle, settings=with_values(a_bundle.settings, changed))
    heard: list[Event] = []
    result = screen(part, bundle, engine=TornEngine(seed), progress=heard.append)
    [provisional] = [each for each in heard if isinstance(each, Provisional)]
    assert provisional.slices_screened == result.settings["slices_informative"]
    told = (provisional.predicted, provisional.verdict, provisional.probabilities)
    final = result.patient
    assert told == (final.predicted, final.verdict, vars(final.probabilities))


def test_neighbours_have_a_vote_in_the_provisional_verdict(a_patient, a_bundle):
    """Of 12 slices one is called COVID-19 by itself and none with its neighbours."""
    heard: list[Event] = []
    for sigma_mm, counted in ((0.0, "covid19"), (40.0, "healthy")):
        voting = {"assessment.neighbour_sigma_mm": sigma_mm, "assessment.slab_temperature": 1.0}
        bundle = replace(a_bundle, settings=with_values(a_bundle.settings, voting))
        engine = TornEngine(0, ill_slices=1)
        result = screen(a_short_volume(a_patient), bundle, engine=engine, progress=heard.append)
        assert result.patient.nonparametric.predicted == counted
    # COVID-19 with 65 % is enough where the count of slices agrees alone.
    verdicts = [each.verdict for each in heard if isinstance(each, Provisional)]
    assert verdicts == ["covid19", "indeterminate"]


def test_a_volume_of_coarse_pixels_gets_no_verdict(a_patient, a_bundle):
    why = "The pixels are 4.2 mm wide."
    coarse = replace(a_patient.volume, warnings=(("coarse_pixels", why),))
    found = screened(coarse, a_bundle)[0].patient
    assert (found.verdict, found.reasons[0]) == ("indeterminate", why)


def test_finding_the_lungs_is_told_part_by_part_and_can_be_cancelled(a_patient, a_bundle):
    heard = []
    screened(a_patient.volume, a_bundle, progress=heard.append)
    done = [(e.done, e.total) for e in heard if isinstance(e, Progress) and e.step == "preprocess"]
    assert done == [(part, 7) for part in range(8)]
    heard.clear()
    with pytest.raises(Cancelled):
        screened(
            a_patient.volume, a_bundle, progress=heard.append, cancelled=lambda: len(heard) == 3
        )
    assert len(heard) == 3


def test_a_preview_sees_one_window_of_24_slices_and_says_so(a_patient, a_bundle):
    result, engine = screened(a_patient.volume, a_bundle, detail="preview")
    assert engine.images == 24
    assert sum(each.screened for each in result.slices) == 24
    assert result.settings["window_centers_hu"] == [-600]
    message = preview_warning(result)
    assert message.startswith("This is a preview: it screened 24 of ")
    assert "in 1 of 3 display windows" in message
    assert "slices in between" in message


def test_a_preview_sees_the_middle_window_of_its_bundle(a_patient, a_bundle):
    for centers, middle in (
        ((-700, -600, -500), -600),
        ((-400, -650, -800), -650),
        ((-550,), -550),
    ):
        settings = with_values(a_bundle.settings, {"preprocessing.window_centers_hu": centers})
        bundle = replace(a_bundle, settings=settings)
        preview, _ = screened(a_short_volume(a_patient), bundle, detail="preview")
        assert preview.settings["window_centers_hu"] == [middle]


def test_probabilities_are_the_softmax_of_the_kept_logits_over_the_temperature(a_patient, a_bundle):
    for volume in (a_patient.volume, a_short_volume(a_patient)):
        patient = screened(volume, a_bundle)[0].patient
        assert patient.logits == (0.0, 2.0, 0.0, 0.0)
        shares = np.exp(np.array(patient.logits) / patient.temperature)
        assert patient.probabilities.as_array() == pytest.approx(shares / shares.sum())


def test_a_preview_of_few_slices_sees_all_and_still_says_what_it_left_out(a_patient, a_bundle):
    result, _ = screened(a_short_volume(a_patient), a_bundle, detail="preview")
    assert all(each.screened for each in result.slices if each.informative)
    assert "it screened 12 of 12 slices with lung, in 1 of 3" in preview_warning(result)
    assert "slices in between" not in preview_warning(result)


def test_a_slab_is_answered_less_surely_and_a_whole_chest_as_before(a_patient, a_bundle):
    """The stand-in's logits are 0, 2, 0, 0 whatever it is given."""
    softer = with_values(a_bundle.settings, {"assessment.slab_temperature": 4.0})
    bundle = replace(a_bundle, settings=softer)
    whole, _ = screened(a_patient.volume, bundle)
    assert whole.patient.probabilities.covid19 == pytest.approx(np.exp(2) / (np.exp(2) + 3))
    slab, _ = screened(a_short_volume(a_patient), bundle)
    assert slab.patient.probabilities.covid19 == pytest.approx(np.exp(0.5) / (np.exp(0.5) + 3))
    assert slab.patient.verdict == "indeterminate"


def test_windows_that_disagree_give_doubt_which_a_preview_says_it_cannot_have(a_patient, a_bundle):
    limit = {
        "assessment.maximum_spread_over_windows": 0.001,
        "assessment.slab_temperature": 1.0,
    }
    bundle = replace(a_bundle, settings=with_values(a_bundle.settings, limit))
    volume, heard = a_short_volume(a_patient), []
    full, _ = screened(volume, bundle, progress=heard.append)
    assert full.patient.verdict == "indeterminate"
    assert "depends on the display window" in full.patient.reasons[0]
    assert [e.verdict for e in heard if isinstance(e, Provisional)] == ["indeterminate"]
    assert "preview" not in {each.code for each in full.warnings}
    preview, _ = screened(volume, bundle, detail="preview")
    assert preview.patient.verdict == "covid19"
    assert "cannot tell whether the windows disagree" in preview_warning(preview)


def test_the_cpu_takes_over_from_a_gpu_without_memory_and_it_is_said(
    a_patient, a_bundle, monkeypatch
):
    import torch

    class SmallGPU(BrightnessEngine):
        def run_slices(self, images: np.ndarray) -> SliceOutputs:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    made, heard = {"cuda": SmallGPU("cuda (A)"), "cpu": BrightnessEngine()}, []
    monkeypatch.setattr(fallback_engine, "make_engine", lambda bundle, device, engine: made[device])
    result = screen(a_patient.volume, a_bundle, device="cuda", progress=heard.append)
    notices = [each.message for each in heard if isinstance(each, Notice)]
    assert notices == [fallback_engine.GPU_MEMORY_RAN_OUT]
    assert result.device == "cpu"
    assert made["cpu"].images == 3 * result.settings["slices_informative"]


def test_a_flipped_volume_gives_the_same_answer_counted_the_other_way(a_patient, a_bundle):
    import SimpleITK as sitk

    flipped = CTVolume.from_image(
        sitk.DICOMOrient(a_patient.volume.to_stored(a_patient.volume.hu), "RAI")
    )
    straight, _ = screened(a_patient.volume, a_bundle)
    other, _ = screened(flipped, a_bundle)
    assert [e.p_lesion for e in other.slices] == [e.p_lesion for e in straight.slices][::-1]
    assert other.involvement == straight.involvement
    assert other.slices[0].position_mm == pytest.approx(straight.slices[-1].position_mm)


def test_one_slice_has_no_patient_verdict(a_patient, a_bundle):
    volume = a_patient.volume
    one = CTVolume.from_array(volume.hu[20:21].copy(), volume.spacing_mm)
    result, engine = screened(one, a_bundle)
    assert result.patient is None
    assert (len(result.slices), engine.images, engine.feature_rows) == (1, 3, [])


def test_a_cancelled_run_stops_before_the_next_batch(a_patient, a_bundle):
    engine = BrightnessEngine()
    with pytest.raises(Cancelled):
        screen(a_patient.volume, a_bundle, engine=engine, cancelled=lambda: engine.images >= 24)
    assert engine.images == 24


def test_a_volume_of_air_is_refused(a_patient, a_bundle):
    air = replace(a_patient.volume, hu=np.full_like(a_patient.volume.hu, -1000))
    with pytest.raises(InputRefused, match="its values range only from -1000 to -1000"):
        screened(air, a_bundle)


def test_the_label_map_is_lesion_inside_the_lungs_alone(a_patient, a_bundle):
    result, _ = screened(a_patient.volume, a_bundle)
    arrays = result.arrays
    assert set(np.unique(arrays.lesions)) <= {0, 1}
    assert not (arrays.lesions[arrays.lungs == 0]).any()
    assert not arrays.lesions.flags.writeable
    share = (arrays.lesions > 0).sum() / (arrays.lungs > 0).sum()
    assert result.involvement.total.fraction == pytest.approx(share)


def test_the_location_map_is_0_outside_the_lungs(a_patient, a_bundle):
    arrays = screened(a_patient.volume, a_bundle)[0].arrays
    assert not arrays.lesion_location_map[arrays.lungs == 0].any()
    assert (arrays.lesion_location_map[arrays.lungs > 0] > 0).all()  # that engine's map is bright


def test_slices_vote_on_each_other_by_their_distance_in_mm(a_patient, a_bundle):
    def p_with(sigma_mm: float) -> tuple[np.ndarray, np.ndarray]:
        settings = with_values(a_bundle.settings, {"assessment.neighbour_sigma_mm": sigma_mm})
        result, _ = screened(a_patient.volume, replace(a_bundle, settings=settings))
        return np.array([each.p_lesion or 0.0 for each in result.slices]), (
            result.arrays.lesion_location_map
        )

    (alone, map_alone), (together, map_together) = p_with(0.0), p_with(12.0)
    informative = alone > 0
    expected = mean_over_neighbours(alone, informative, 12.0 / 8.0)
    assert together == pytest.approx(expected, abs=1e-5)
    assert np.abs(np.diff(together)).sum() < np.abs(np.diff(alone)).sum()
    assert np.abs(np.diff(map_together.mean(axis=(1, 2)))).sum() < (
        np.abs(np.diff(map_alone.mean(axis=(1, 2)))).sum()
    )
