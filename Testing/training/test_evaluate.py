"""An evaluation from an index to its folder, with untrained networks on small simulated chests."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image
from sklearn.metrics import roc_auc_score

from M3LungScreenLib import load_bundle, read_ct, screen
from M3LungScreenLib.ct import CTVolume
from M3LungScreenLib.engines import fallback_engine
from M3LungScreenLib.errors import UsageError
from Testing.stand_ins.evaluation import untrained_bundle, write_index
from Testing.stand_ins.small_gpu import put_in_small_gpu
from Training import evaluate
from Training.atomic_files import work_beside
from Training.datasets.index_file import Case
from Training.evaluation import bootstrap, pictures, screened, summary
from Training.evaluation.screened import ScreenedCase, cases_of

KEYS = ("healthy", "covid19", "cap")
CURVES = ("roc-patient", "roc-slice", "confusion", "reliability", "gallery")


@pytest.fixture(scope="module", autouse=True)
def few_resamples():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, "RESAMPLES", 20)
        yield


@pytest.fixture(scope="module")
def a_folder(tmp_path_factory):
    """`bundle`, `index.csv` and `out`, the evaluation of one by the other."""
    folder = tmp_path_factory.mktemp("evaluate")
    untrained_bundle(folder / "bundle")
    write_index(folder, KEYS)
    evaluate.main(asked(folder, "out"))
    return folder


def asked(folder, out, *more):
    return [
        str(folder / "bundle"),
        "--data",
        str(folder / "index.csv"),
        "--out",
        str(folder / out),
        *more,
    ]


def metrics_of(folder, out="out"):
    return json.loads((folder / out / "metrics.json").read_text("utf-8"))


def case(truth, p, **more):
    p = np.array(p, float)
    return ScreenedCase(
        str(more.pop("name", truth)), truth, None, tuple(p), int(p.argmax()), "", truth,
        slices=(tuple(p),), p_lesion=(1 - p[0],), informative=(True,), **more,
    )  # fmt: skip


def test_the_folder_is_complete_and_nothing_lies_beside_it(a_folder):
    names = {each.name for each in (a_folder / "out").iterdir()}
    pictures = {f"{name}.{kind}" for name in CURVES for kind in ("png", "svg")}
    assert names == {"metrics.json", "metrics.md", "montages", *pictures}
    assert len(list((a_folder / "out/montages").iterdir())) == 2 * len(KEYS)
    assert not work_beside(a_folder / "out").exists()
    with Image.open(a_folder / "out/gallery.png") as picture:
        assert np.asarray(picture).std() > 10


def test_a_refused_case_is_counted_with_its_reason(a_folder):
    cases = metrics_of(a_folder)["cases"]
    assert cases["used"] == 3
    assert cases["of_each_class"] == {"healthy": 1, "covid19": 1, "h1n1": 0, "cap": 1}
    assert list(cases["refused"]) == ["empty/1"]
    assert cases["refused"]["empty/1"] in (a_folder / "out/metrics.md").read_text("utf-8")


def test_a_missing_class_has_null_and_its_reason(a_folder):
    h1n1 = metrics_of(a_folder)["patient"]["of_each_class"]["h1n1"]
    assert h1n1["sensitivity"] == {"value": None, "interval": None, "reason": "no H1N1 patient"}
    assert h1n1["auc"]["reason"] == "no H1N1 patient"
    assert h1n1["specificity"]["value"] is not None


def test_slice_auc_is_scikit_learns_over_the_annotated_slices(a_folder):
    bundle, truth, p = load_bundle(a_folder / "bundle"), [], []
    for each in evaluate.read_index(a_folder / "index.csv")[:3]:
        result = screen(read_ct(each.path), bundle, device="cpu")
        truth += [label > 0 for label in each.slice_labels]
        p += [slice_.p_lesion or 0.0 for slice_ in result.slices]
    found = metrics_of(a_folder)["slice"]
    assert found["slices"] == 90
    assert found["lesion_auc"]["value"] == pytest.approx(roc_auc_score(truth, p), abs=1e-9)


def test_maps_have_figures_where_masks_are(a_folder):
    maps = metrics_of(a_folder)["maps"]
    assert [maps[key]["patients"] for key in ("covid19", "h1n1", "cap")] == [1, 0, 1]
    assert 0 <= maps["cap"]["pixel_auc"]["value"] <= 1
    assert maps["h1n1"]["dice"]["reason"] == "no truth mask contains a lesion"


def test_a_stopped_run_goes_on_and_ends_with_the_same_figures(a_folder, monkeypatch):
    done, real = [], screened.screen

    def stopped_at_the_third(volume, *rest, **named):
        done.append(volume)
        if len(done) == 3:
            raise KeyboardInterrupt
        return real(volume, *rest, **named)

    monkeypatch.setattr(screened, "screen", stopped_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        evaluate.main(asked(a_folder, "again"))
    assert not (a_folder / "again").exists()
    evaluate.main(asked(a_folder, "again", "--resume"))
    assert len(done) == 4  # the stopped one twice; the refused one is not even read
    assert metrics_of(a_folder, "again") == metrics_of(a_folder)


def test_where_a_gpus_memory_runs_out_the_cpu_evaluates(a_folder, monkeypatch, capsys):
    put_in_small_gpu(monkeypatch)
    evaluate.main(asked(a_folder, "small-gpu", "--device", "cuda"))
    assert fallback_engine.GPU_MEMORY_RAN_OUT in capsys.readouterr().err
    assert metrics_of(a_folder, "small-gpu") == metrics_of(a_folder)


def test_an_evaluation_in_the_same_folder_takes_the_place_of_the_one_before(a_folder):
    before = metrics_of(a_folder)
    (a_folder / "out/gallery.png").unlink()
    evaluate.main(asked(a_folder, "out"))
    assert (a_folder / "out/gallery.png").exists()
    assert metrics_of(a_folder) == before


def test_a_folder_of_something_else_is_not_replaced(a_folder):
    (a_folder / "screened").mkdir()
    (a_folder / "screened/result.json").write_text("{}")
    with pytest.raises(UsageError, match=r"has no metrics\.json from an earlier run"):
        evaluate.main(asked(a_folder, "screened"))


def test_metrics_of_another_program_are_no_earlier_evaluation(a_folder):
    (a_folder / "theirs").mkdir()
    (a_folder / "theirs/metrics.json").write_text('{"model": "ours", "auc": 0.9}')
    with pytest.raises(UsageError, match=r"has no metrics\.json from an earlier run"):
        evaluate.main(asked(a_folder, "theirs"))


def test_what_somebody_put_among_the_montages_is_not_lost(a_folder):
    shutil.copytree(a_folder / "out", a_folder / "noted")
    (a_folder / "noted/montages/notes.txt").write_text("years of work")
    with pytest.raises(UsageError, match=r"noted contains montages.notes\.txt, which"):
        evaluate.main(asked(a_folder, "noted"))
    assert (a_folder / "noted/montages/notes.txt").exists()


def test_a_run_of_other_cases_or_other_code_is_not_resumed(tmp_path, monkeypatch):
    bundle, cases = untrained_bundle(tmp_path / "bundle"), [Case("a", tmp_path, "CAP")]
    screened.open_work(tmp_path / "work", bundle, cases, resume=True)
    with pytest.raises(UsageError, match="started with another bundle, other cases"):
        screened.open_work(tmp_path / "work", bundle, cases * 2, resume=True)
    monkeypatch.setattr(screened, "code_sha256", lambda *_: "other code")
    with pytest.raises(UsageError, match="or other code"):
        screened.open_work(tmp_path / "work", bundle, cases, resume=True)


def test_without_a_split_column_all_cases_count(tmp_path):
    bare, split = Case("a", tmp_path, "CAP"), Case("b", tmp_path, "CAP", "test")
    assert cases_of([bare], "test") == [bare]
    assert cases_of([bare, split], "test") == [split]
    with pytest.raises(UsageError, match="no cases in the split 'validation'; it has test"):
        cases_of([split], "validation")
    with pytest.raises(UsageError, match="a twice"):
        cases_of([bare, bare], "test")


@pytest.mark.parametrize("count", [0, 1])
def test_no_patient_or_one_is_no_error(count, tmp_path):
    bundle = untrained_bundle(tmp_path / "bundle")
    found = summary.summarise([case(1, [0.1, 0.7, 0.1, 0.1])][:count], bundle, None)
    assert found["patient"]["accuracy"]["value"] == (1.0 if count else None)
    assert found["patient"]["accuracy"]["interval"] is None
    assert found["network_against_count"]["p_accuracy"]["reason"] == "fewer than two patients"
    json.dumps(found, allow_nan=False)


def test_the_score_of_equation_5_is_the_share_of_slices_and_ties_go_by_mean_p():
    first, second = [[0.6, 0.4, 0, 0], [0.3, 0.7, 0, 0]], [[0.9, 0.1, 0, 0], [0.2, 0.8, 0, 0]]
    scores = [
        case(1, [0, 1, 0, 0]).__class__("", 1, slices=p, informative=(True, True)).slice_counts
        for p in (first, second)
    ]
    assert scores[0] == pytest.approx([0.5, 0.5, 0, 0], abs=1e-6)
    assert scores[0][1] > scores[1][1]


def test_mask_labels_the_slices_where_the_readers_gave_no_labels(tmp_path):
    volume = CTVolume.from_array(np.zeros((5, 8, 8), np.int16), (1.0, 1.0, 3.0))
    drawn = np.zeros((5, 8, 8), np.uint8)
    drawn[2, 3, 3] = 1
    image = sitk.GetImageFromArray(drawn)
    image.SetSpacing((1.0, 1.0, 3.0))
    sitk.WriteImage(image, tmp_path / "mask.nrrd")
    case = Case("p", tmp_path / "ct.nrrd", "CAP", mask=tmp_path / "mask.nrrd")
    assert screened._truths(case, SimpleNamespace(volume=volume))[1] == (0, 0, 1, 0, 0)


def test_no_slice_of_a_healthy_patient_has_a_lesion_though_nobody_labelled_them(tmp_path):
    volume = CTVolume.from_array(np.zeros((5, 8, 8), np.int16), (1.0, 1.0, 3.0))
    labels = {
        name: screened._truths(Case("p", tmp_path, name), SimpleNamespace(volume=volume))[1]
        for name in ("Healthy", "CAP")
    }
    assert labels == {"Healthy": (0, 0, 0, 0, 0), "CAP": None}


def test_gallery_tells_patient_and_slice_of_each_picture(tmp_path):
    for k in (4, 11):
        (tmp_path / "a%2F1").mkdir(exist_ok=True)
        Image.new("RGB", (8, 4)).save(tmp_path / f"a%2F1/{k // 10}-{k}.png")
    drawn = pictures.gallery([case(1, [0.1, 0.7, 0.1, 0.1], name="a/1")], tmp_path)
    titles = [panel.get_title() for panel in drawn.axes]
    assert titles == ["a/1, slice 4", "a/1, slice 11", "", ""]
