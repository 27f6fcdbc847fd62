"""A CT in a ZIP file is read like its folder; an archive that is unsafe or damaged is refused."""

import json
import tempfile
import zipfile
from pathlib import Path

import pytest
import SimpleITK as sitk

from M3LungScreenLib import zip_archive
from M3LungScreenLib.__main__ import main
from M3LungScreenLib.batch.studies import find_studies
from M3LungScreenLib.ct import Geometry
from M3LungScreenLib.errors import InputRefused
from M3LungScreenLib.reading import read_ct
from M3LungScreenLib.zip_archive import is_zip, unpacked
from Testing.stand_ins.dicom import a_chest, write_series

HU = a_chest()


@pytest.fixture(autouse=True)
def temporary_files(tmp_path_factory, monkeypatch):
    """The folder for temporary files, which must be empty again after each test."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert not list(folder.iterdir())


def zip_of(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for each in sorted(folder.rglob("*")):
            archive.write(each, each.relative_to(folder))
    return path


def zip_with(path: Path, *names: str, content: bytes = b"chest") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return path


@pytest.fixture
def a_zip(tmp_path) -> Path:
    write_series(tmp_path / "study" / "Jürgen's CT", HU)
    return zip_of(tmp_path / "study", tmp_path / "study.ZIP")


def refused(path: Path) -> str:
    with pytest.raises(InputRefused) as caught, unpacked(path) as place:
        read_ct(place)
    assert caught.value.message.endswith(".")
    assert "temporary" not in caught.value.message or "temporary files" in caught.value.message
    return caught.value.message


def test_a_series_in_a_zip_is_read_like_its_folder(a_zip):
    with unpacked(a_zip) as place:
        volume = read_ct(place)
        assert all(each.exists() for each in volume.dicom_files)
    assert (volume.hu == HU).all()
    assert volume.kind == "dicom_series"


def test_anything_else_is_left_as_it_is(tmp_path):
    (tmp_path / "scene.mrb").write_bytes(b"PK\3\4")
    (tmp_path / "folder.zip").mkdir()
    for name in ("scene.mrb", "folder.zip", "missing.zip"):
        with unpacked(tmp_path / name) as place:
            assert place == tmp_path / name


def test_one_volume_file_is_found_whatever_macos_left_beside_it(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(HU), tmp_path / "chest.nrrd")
    with zipfile.ZipFile(tmp_path / "chest.zip", "w") as archive:
        archive.write(tmp_path / "chest.nrrd", "case 1/chest.nrrd")
        archive.writestr("__MACOSX/case 1/._chest.nrrd", "left")
    with unpacked(tmp_path / "chest.zip") as place:
        assert place.name == "chest.nrrd"


def test_several_volume_files_are_refused(tmp_path):
    path = zip_with(tmp_path / "a.zip", "1.nrrd", "2.nii.gz")
    assert refused(path).startswith("a.zip contains 2 volume files, such as 1.nrrd, 2.nii.gz. ")


def test_a_refusal_names_the_archive_and_not_the_temporary_folder(tmp_path):
    path = zip_with(tmp_path / "a.zip", "readme.txt")
    assert f"There is no DICOM image in {path}. " in refused(path)


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/evil", "C:/evil", "a\\..\\evil"])
def test_a_path_that_leads_out_of_the_archive_is_refused(tmp_path, name):
    assert "leads out of it" in refused(zip_with(tmp_path / "a.zip", "IM1", name))
    assert not list(tmp_path.parent.rglob("evil*"))


def test_two_files_of_one_name_are_refused(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = zip_with(tmp_path / "a.zip", "IM1", "IM1")
    assert "several files of one name" in refused(path)


def test_what_grows_beyond_all_images_is_refused_before_it_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(zip_archive, "RATIO_FROM_BYTES", 1 << 20)
    path = zip_with(tmp_path / "a.zip", "IM1", content=bytes(4 << 20))
    assert "would grow from 0.0 MB to 4.2 MB" in refused(path)


@pytest.mark.parametrize(("limit", "value"), [("LARGEST_BYTES", 9), ("MOST_FILES", 1)])
def test_too_much_is_refused(tmp_path, monkeypatch, limit, value):
    monkeypatch.setattr(zip_archive, limit, value)
    assert "contains 2 files of 0.0 MB in all, too many" in refused(
        zip_with(tmp_path / "a.zip", "IM1", "IM2")
    )


def test_no_more_is_written_than_an_entry_states(tmp_path, a_zip):
    """A size that is a lie ends as damaged; it is the size that the limits are checked with."""
    content = bytearray(zip_with(tmp_path / "a.zip", "IM1", content=bytes(5000)).read_bytes())
    at = content.index(b"PK\1\2")
    content[at + 24 : at + 28] = (10).to_bytes(4, "little")
    (tmp_path / "a.zip").write_bytes(content)
    assert "cannot be unpacked" in refused(tmp_path / "a.zip")


def test_a_full_disk_is_foreseen(a_zip, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(zip_archive.shutil, "disk_usage", lambda path: usage)
    assert "for temporary files, but only 0.0 MB is free. Free some space" in refused(a_zip)


def test_an_encrypted_archive_is_refused(a_zip):
    content = bytearray(a_zip.read_bytes())
    for mark, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(mark) + offset] |= 1
    a_zip.write_bytes(content)
    assert refused(a_zip).startswith("study.ZIP is encrypted. Unpack it with its password")


@pytest.mark.parametrize("share", [0.2, 0.99])
def test_an_archive_that_was_cut_short_is_refused(a_zip, share):
    content = a_zip.read_bytes()
    a_zip.write_bytes(content[: int(share * len(content))])
    assert "study.ZIP cannot be unpacked" in refused(a_zip)


def test_a_byte_that_changed_is_noticed(a_zip):
    content = bytearray(a_zip.read_bytes())
    content[len(content) // 3] ^= 0xFF
    a_zip.write_bytes(content)
    assert "study.ZIP cannot be unpacked" in refused(a_zip)


def test_other_archives_stay_refused(tmp_path):
    (tmp_path / "study.zip").write_bytes(b"7z\xbc\xaf" + bytes(200))
    assert not is_zip(tmp_path / "study.zip")
    assert "study.zip is a 7z archive. Unpack it" in refused(tmp_path / "study.zip")


def test_screen_takes_a_zip_and_makes_dicom_objects_of_its_files(tmp_path):
    pytest.importorskip("highdicom", reason="the extra 'dicom' is not installed")
    write_series(tmp_path / "study", HU, FrameOfReferenceUID="1.2.3")
    a_zip = zip_of(tmp_path / "study", tmp_path / "study.zip")
    out = tmp_path / "out"
    arguments = ["screen", str(a_zip), "-o", str(out), "--progress", "none", "--dicom-out"]
    assert main(arguments) == 0
    assert len(list((out / "dicom").glob("*.dcm"))) == 4


def test_a_batch_finds_each_study_of_an_archive(tmp_path):
    write_series(tmp_path / "both" / "a", HU)
    write_series(tmp_path / "both" / "b", HU)
    image = Geometry(HU.shape[::-1], (5.0, 5.0, 3.0)).with_array(HU)
    sitk.WriteImage(image, tmp_path / "both" / "chest.nrrd")
    (tmp_path / "archive").mkdir()
    zipped = zip_of(tmp_path / "both", tmp_path / "archive" / "both.zip")
    zip_with(tmp_path / "archive" / "notes.zip", "notes.txt")
    studies = find_studies([tmp_path / "archive"])
    assert {each.place for each in studies} == {
        zipped / "a",
        zipped / "b",
        zipped / "chest.nrrd",
    }
    for study in studies:
        with study.opened() as place:
            assert (read_ct(place).hu == HU).all()
    unpacked_studies = find_studies([tmp_path / "both"])
    by_uid = {each.study_uid: each.key for each in unpacked_studies if each.study_uid}
    assert by_uid == {each.study_uid: each.key for each in studies if each.study_uid}


def test_a_batch_refuses_a_damaged_archive_as_one_study(tmp_path, a_zip):
    a_zip.write_bytes(a_zip.read_bytes()[:500])
    [study] = find_studies([a_zip])
    assert study.place == a_zip
    with pytest.raises(InputRefused, match="cannot be unpacked"), study.opened():
        pass


def test_series_lists_a_zip(a_zip, capsys):
    assert main(["series", str(a_zip), "--json"]) == 0
    [listed] = json.loads(capsys.readouterr().out)["series"]
    assert (listed["images"], listed["screened"]) == (12, True)
