"""Files as they come: without a preamble, packed, damaged, among others."""

import gzip
import os
import struct
import warnings
import zipfile

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    ExplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
    RLELossless,
    generate_uid,
)

from M3LungScreenLib.dicom.files import is_dicom
from M3LungScreenLib.dicom.frames import look_at
from M3LungScreenLib.reading import read_ct
from Testing.stand_ins.dicom import a_chest, a_dataset, changed, write_series
from Testing.stand_ins.refusals import codes, nothing_on_stderr, refusal  # noqa: F401

pytestmark = pytest.mark.usefixtures("nothing_on_stderr")


@pytest.mark.parametrize("preamble", [True, False])
def test_files_without_meta_information_are_read(tmp_path, preamble):
    write_series(tmp_path, a_chest())
    for path in tmp_path.iterdir():
        data = pydicom.dcmread(path)
        data.preamble, data.file_meta = bytes(128) if preamble else None, FileMetaDataset()
        bare = data if preamble else Dataset(data)
        pydicom.dcmwrite(
            path, bare, implicit_vr=True, little_endian=True, enforce_file_format=False
        )
    assert (read_ct(tmp_path).hu == a_chest()).all()
    assert read_ct(min(tmp_path.iterdir())).slice_count == 1


def test_a_dicomdir_stands_for_what_lies_beside_it(tmp_path):
    write_series(tmp_path / "IMAGES", a_chest())
    directory = Dataset()
    directory.file_meta = FileMetaDataset()
    directory.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    directory.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    directory.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    directory.FileSetID, directory.DirectoryRecordSequence = "DISC", []
    directory.save_as(tmp_path / "DICOMDIR", enforce_file_format=True)
    for path in (tmp_path, tmp_path / "DICOMDIR"):
        volume = read_ct(path)
        assert (volume.hu == a_chest()).all()
        assert (volume.kind, codes(volume)) == ("dicom_series", [])


def test_a_zip_file_is_to_be_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "study.zip", "w") as packed:
        packed.writestr("a", "b" * 200)
    assert "study.zip is a zip archive. Unpack it" in refusal(tmp_path / "study.zip").message


def test_odd_names_and_odd_neighbours_are_no_obstacle(tmp_path):
    folder = tmp_path / "Jürgen Müßig – CT Thörax (肺) #1" / "a" / "b"
    write_series(folder, a_chest(), PatientName="Müßig^Jürgen", SpecificCharacterSet="ISO_IR 100")
    (folder / "Thumbs.db").write_bytes(os.urandom(5000))
    (folder / "._2-100").write_bytes(b"\0\5\x16\7" + os.urandom(300))
    (folder / "report.pdf").write_bytes(b"%PDF-1.4\n" + os.urandom(500))
    (folder / "notes.txt.gz").write_bytes(gzip.compress(b"chest"))
    (folder / "empty").write_bytes(b"")
    (folder / "loop").symlink_to(tmp_path, target_is_directory=True)
    (folder / "nowhere").symlink_to(tmp_path / "none")
    volume = read_ct(tmp_path)
    assert (volume.hu == a_chest()).all()
    assert codes(volume) == []


def test_linked_folders_are_entered(tmp_path):
    write_series(tmp_path / "archive", a_chest())
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "series").symlink_to(tmp_path / "archive", target_is_directory=True)
    assert (read_ct(tmp_path / "study").hu == a_chest()).all()


def test_an_unknown_character_set_is_no_obstacle(tmp_path):
    def change(k, data):
        data.add_new(0x00080005, "CS", "GB2312XYZ")
        data["PatientName"] = pydicom.DataElement(0x00100010, "PN", b"\xd6\xd0\xb9\xfa")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, of what it writes
        write_series(tmp_path, a_chest(), change=change)
    assert (read_ct(tmp_path).hu == a_chest()).all()


def test_what_lies_beside_a_ct_in_a_study_is_no_slice(tmp_path):
    write_series(tmp_path, a_chest())
    storage = "1.2.840.10008.5.1.4.1.1."
    objects = {"SR": "88.67", "KO": "88.59", "PR": "11.1", "DOC": "104.1", "RTSTRUCT": "481.3"}
    for modality, suffix in objects.items():
        data = a_dataset(generate_uid(), 9, modality, storage + suffix)
        data.save_as(tmp_path / modality, enforce_file_format=True)
    volume = read_ct(tmp_path)
    assert (volume.hu == a_chest()).all()
    assert codes(volume) == []


# Damaged


def test_a_file_that_is_cut_short_is_named_alone_and_in_its_series(tmp_path):
    write_series(tmp_path, a_chest())
    path = sorted(tmp_path.iterdir())[4]
    whole = path.read_bytes()
    for length in (len(whole) - 10, len(whole) // 2):
        path.write_bytes(whole[:length])
        for place in (path, tmp_path):
            assert refusal(place).kind == "truncated"
            assert refusal(place).message.startswith(
                f"{path.name} should have 8,192 bytes of pixel data"
            )
    path.write_bytes(whole[:200])
    assert refusal(path).message.startswith(f"{path.name} cannot be read")


def test_a_compressed_file_that_is_cut_short_is_named(tmp_path):
    write_series(tmp_path, a_chest())
    path = sorted(tmp_path.iterdir())[4]
    with changed(path) as data:
        data.compress(RLELossless, generate_instance_uid=False)
    whole = path.read_bytes()
    for length in (len(whole) - 10, len(whole) - 300, len(whole) // 2):
        path.write_bytes(whole[:length])
        assert path.name in refusal(tmp_path).message


def test_a_packed_file_that_is_cut_short_is_named(tmp_path):
    write_series(tmp_path, a_chest())
    path = sorted(tmp_path.iterdir())[4]
    path.write_bytes(gzip.compress(path.read_bytes())[:-500])
    for place in (path, tmp_path):
        assert path.name in refusal(place).message


def test_pixels_in_floats_are_told_to_be_no_ct(tmp_path):
    write_series(tmp_path, a_chest())
    path = sorted(tmp_path.iterdir())[4]
    with changed(path) as data:
        del data.PixelData
        data.FloatPixelData = a_chest()[0].astype(np.float32).tobytes()
    told = refusal(tmp_path)
    assert told.kind == "not_hu"
    assert told.message.startswith(f"{path.name} has floating-point pixels")


def test_a_folder_of_a_volume_file_says_to_name_the_file(tmp_path):
    (tmp_path / "chest.nrrd").write_bytes(b"NRRD0004")
    assert "but chest.nrrd. Choose that file" in refusal(tmp_path).message


def test_a_slice_without_pixels_is_named(tmp_path):
    write_series(tmp_path, a_chest())
    path = sorted(tmp_path.iterdir())[4]
    with changed(path) as data:
        del data.PixelData
    assert refusal(tmp_path).message.startswith(f"{path.name} has no pixel data")


def test_one_file_of_a_damaged_header_is_named_and_its_gap_is_bridged(tmp_path):
    write_series(tmp_path, a_chest())
    path = sorted(tmp_path.iterdir())[4]
    path.write_bytes(path.read_bytes()[:153])  # pydicom raises struct.error
    volume = read_ct(tmp_path)
    assert path.name in dict(volume.warnings)["damaged_files"]
    assert "damaged_files" in codes(volume)


def test_a_header_cut_anywhere_or_with_any_byte_wrong_is_read_or_told_to_be_damaged(tmp_path):
    write_series(tmp_path, a_chest(1)[:, ::8, ::8])
    [path] = tmp_path.iterdir()
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        look_at(path)
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + b"\xf5" + whole[place + 1 :])
        look_at(path)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may open every file")
def test_a_file_that_may_not_be_opened_is_named(tmp_path):
    write_series(tmp_path, a_chest())
    path = sorted(tmp_path.iterdir())[4]
    path.chmod(0)
    assert "could not be opened" in refusal(path).message
    assert path.name in dict(read_ct(tmp_path).warnings)["damaged_files"]


def test_a_folder_that_may_not_be_listed_is_named(tmp_path, monkeypatch):
    write_series(tmp_path / "series", a_chest())
    (tmp_path / "locked").mkdir()
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    volume = read_ct(tmp_path)
    assert (volume.hu == a_chest()).all()
    assert "could not be opened" in dict(volume.warnings)["damaged_files"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes here")
def test_a_pipe_in_the_folder_is_passed_by(tmp_path):
    write_series(tmp_path, a_chest())
    os.mkfifo(tmp_path / "pipe")
    assert (read_ct(tmp_path).hu == a_chest()).all()
    assert "pipe is a pipe or device" in refusal(tmp_path / "pipe").message


@pytest.mark.parametrize(
    "head", [b"\x89PNG\r\n", b"ELF", b"8BPS", b"\xff\xd8\xff\xe0", b"II*\0", b"\x08\0", b"{"]
)
def test_other_files_are_no_dicom(tmp_path, head):
    (tmp_path / "a").write_bytes(head + struct.pack("<200I", *range(2**31, 2**31 + 200)))
    assert not is_dicom(tmp_path / "a")
