"""Crops of an index's cases are made once, whole or absent, and are those of screening."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from M3LungScreenLib.chest import prepare
from M3LungScreenLib.errors import InputRefused
from M3LungScreenLib.preprocessing import crop_hu
from M3LungScreenLib.reading import read_ct
from M3LungScreenLib.settings import PreprocessingSettings
from Testing.stand_ins.chests import a_small_chest, write_volume
from Training.datasets import crop_cache
from Training.datasets.crop_cache import CropCache
from Training.datasets.index_file import Case
from Training.datasets.slice_images import read_case_ct

SETTINGS = PreprocessingSettings(input_size=32)
LABELS = (0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0)


@pytest.fixture
def a_case(tmp_path: Path) -> Case:
    path = write_volume(tmp_path / "ct" / "anna.nrrd", a_small_chest(1))
    return Case("anna", path, "COVID-19", slice_labels=LABELS)


@pytest.fixture
def cache(tmp_path: Path) -> CropCache:
    return CropCache(tmp_path / "cache", SETTINGS)


def test_crops_are_those_that_screening_sees(cache: CropCache, a_case: Case) -> None:
    cached, chest = cache.fetch(a_case), prepare(read_ct(a_case.path), SETTINGS)
    crops = {k: crop for k, crop in enumerate(chest.crops) if crop is not None}
    expected = [crop_hu(chest.volume.hu[k], crop, 32) for k, crop in crops.items()]
    assert np.array_equal(cached.hu, expected)
    assert cached.slices.tolist() == list(crops) == chest.informative
    assert isinstance(cached.hu, np.memmap)
    assert cached.lesion.tolist() == [LABELS[k] for k in chest.informative]


def test_second_fetch_reads_no_ct(
    cache: CropCache, a_case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = cache.fetch(a_case)
    monkeypatch.setattr(crop_cache, "read_case_ct", None)
    assert cache.fetch(a_case).folder == first.folder
    assert cache.fetch(replace(a_case, case_id="other")).folder == first.folder


def test_other_pixels_or_settings_make_another_entry(cache: CropCache, a_case: Case) -> None:
    first = cache.fetch(a_case)
    other = CropCache(cache.folder, PreprocessingSettings(input_size=48)).fetch(a_case)
    write_volume(a_case.path, a_small_chest(2))
    changed = cache.fetch(a_case)
    assert len({first.folder, other.folder, changed.folder}) == 3
    assert other.hu.shape[1:] == (48, 48)
    assert not np.array_equal(changed.hu, first.hu)


def test_entry_that_was_being_made_when_killed_is_made_again(
    cache: CropCache, a_case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(np, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            cache.fetch(a_case)
    assert list(cache.folder.glob("crops-*/*.part")), "it was killed in the midst"
    cached = cache.fetch(a_case)
    assert len(cached.hu) == len(cached.slices)
    assert not list(cache.folder.glob("crops-*/*.part"))


def test_several_processes_give_the_entries_in_order(cache: CropCache, tmp_path: Path) -> None:
    cases = [
        Case(str(i), write_volume(tmp_path / f"{i}.nrrd", a_small_chest(i)), "Healthy")
        for i in range(4)
    ]
    together = cache.fetch_all(cases, processes=2)
    alone = CropCache(tmp_path / "alone", SETTINGS)
    for cached, case in zip(together, cases, strict=True):
        assert np.array_equal(cached.hu, alone.fetch(case).hu)
        assert not cached.lesion.any()


def test_entries_that_are_there_need_no_other_process(
    cache: CropCache, a_case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    b_case = replace(a_case, path=write_volume(a_case.path.with_name("b.nrrd"), a_small_chest(2)))
    made = [cache.fetch(each).folder for each in (a_case, b_case)]
    monkeypatch.setattr(crop_cache, "ProcessPoolExecutor", None)
    found = cache.fetch_all([a_case, b_case], processes=2)
    assert [each.folder for each in found] == made


def test_mask_gives_truth_and_labels_where_the_readers_gave_none(
    cache: CropCache, a_case: Case, tmp_path: Path
) -> None:
    mask = np.zeros((12, 64, 64), np.uint8)
    mask[3:5, 20:40, 14:26] = 1
    path = write_volume(tmp_path / "mask.nrrd", mask)
    cached = cache.fetch(replace(a_case, slice_labels=None, mask=path))
    assert cached.truth is not None
    assert cached.truth.dtype == bool
    marked = cached.slices[cached.lesion == 1]
    assert marked.tolist() == [k for k in cached.slices if k in (3, 4)]
    share = cached.truth[cached.lesion == 1].mean()
    assert 0.05 < share < 0.5


def test_ill_case_without_labels_or_mask_is_unknown(cache: CropCache, a_case: Case) -> None:
    assert set(cache.fetch(replace(a_case, slice_labels=None)).lesion.tolist()) == {-1}


def test_labels_of_another_scan_are_refused_and_nothing_stays(
    cache: CropCache, a_case: Case
) -> None:
    with pytest.raises(
        InputRefused, match="anna: The CT has 12 slices, but there are labels for 3"
    ):
        cache.fetch(replace(a_case, slice_labels=(0, 1, 0)))
    assert not [each for each in cache.folder.glob("crops-*/*") if each.is_dir()]


def test_labels_of_another_length_are_refused_though_the_crops_are_there(
    cache: CropCache, a_case: Case
) -> None:
    cache.fetch(a_case)
    with pytest.raises(InputRefused, match="labels for 3"):
        cache.fetch(replace(a_case, slice_labels=(0, 1, 0)))


def test_pictures_numbered_from_head_to_feet_become_a_volume(tmp_path: Path) -> None:
    from skimage.io import imsave

    chest = a_small_chest(3)
    grey = np.clip((chest + 1350) / 1500 * 255, 0, 255).round().astype(np.uint8)
    (tmp_path / "scan").mkdir()
    for number, picture in enumerate(grey[::-1]):
        imsave(tmp_path / "scan" / f"{number:04d}.png", picture, check_contrast=False)
    volume = read_case_ct(tmp_path / "scan")
    lungs = chest < -700
    assert np.abs(volume.hu[lungs] - chest[lungs])[chest[lungs] > -1350].max() <= 3


def test_pictures_of_several_sizes_are_refused(tmp_path: Path) -> None:
    from skimage.io import imsave

    for number, size in enumerate((32, 48)):
        picture = np.zeros((size, size), np.uint8)
        imsave(tmp_path / f"{number}.png", picture, check_contrast=False)
    with pytest.raises(InputRefused, match=r"differ in size: 32×32, 48×48"):
        read_case_ct(tmp_path)


@pytest.mark.parametrize("kind", ["png", "jpg", "tif", "bmp"])
def test_picture_that_is_cut_short_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"0001.{kind}"
    Image.fromarray(np.full((32, 32), 7, np.uint8)).save(path)
    whole = path.read_bytes()
    for length in (0, 2, len(whole) // 2):
        path.write_bytes(whole[:length])
        with pytest.raises(InputRefused, match=rf"0001\.{kind} is damaged"):
            read_case_ct(tmp_path)
