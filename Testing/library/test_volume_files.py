"""Files whose headers are odd: read where that is certain, else told in a true sentence."""

import bz2
from collections.abc import Iterator

import numpy as np
import pytest
import SimpleITK as sitk

from M3LungScreenLib.ct import CTVolume, Geometry
from M3LungScreenLib.outside import OUTSIDE_HU
from M3LungScreenLib.reading import read_ct
from M3LungScreenLib.suitability import DOUBTFUL
from Testing.stand_ins.filled import SPACING_MM, a_noisy_chest
from Testing.stand_ins.nifti import write_nifti
from Testing.stand_ins.refusals import refusal

HU = a_noisy_chest(shape=(12, 64, 72))
# Right to left, front to back, feet to head, in RAS mm.
LPS = np.array([[-5.0, 0, 0, 171], [0, -5.0, 0, 150], [0, 0, 4.0, -340], [0, 0, 0, 1]])


@pytest.fixture(autouse=True)
def nothing_on_stderr(capfd) -> Iterator[None]:
    """Readers in C++ write there behind Python's back."""
    yield
    assert capfd.readouterr().err == ""


def codes(volume: CTVolume) -> list[str]:
    return [code for code, _ in volume.warnings if code != "coarse_pixels"]


def is_the_chest(volume: CTVolume) -> bool:
    return (
        np.array_equal(volume.hu, HU)
        and volume.spacing_mm == pytest.approx(SPACING_MM)
        and volume.geometry.origin_mm == pytest.approx((-171, -150, -340))
    )


# NIfTI: read as it is


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"version": 2},
        {"order": ">"},
        {"order": ">", "version": 2},
        {"packed": False},
        {"qform_code": 1},
        {"qform_code": 1, "sform_code": 0},
        {"pixdim": (5, 5, -4)},
        {"size": (72, 64, 12, 1)},
        {"size": (72, 64, 12, 1, 1)},
        {"units": 0},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["a.nii.gz", "A.NII.GZ"])
def test_a_nifti_file_is_read_whatever_its_variant(tmp_path, name, options):
    write_nifti(tmp_path / name, HU, LPS, **options)
    volume = read_ct(tmp_path / name)
    assert is_the_chest(volume)
    assert codes(volume) == []


@pytest.mark.parametrize("kind", ["i4", "i8", "f4", "f8"])
def test_every_number_type_of_nifti_is_read(tmp_path, kind):
    write_nifti(tmp_path / "a.nii", HU.astype(kind), LPS)
    assert is_the_chest(read_ct(tmp_path / "a.nii"))


@pytest.mark.parametrize(("scale", "stored"), [((1.0, -1024.0), 1), ((0.5, -1024.0), 2)])
def test_a_rescale_in_a_nifti_file_is_applied(tmp_path, scale, stored):
    cut = np.maximum(HU, -1024)
    values = ((cut.astype(np.int32) + 1024) * stored).astype(np.uint16)
    write_nifti(tmp_path / "a.nii.gz", values, LPS, scale=scale)
    assert (read_ct(tmp_path / "a.nii.gz").hu == cut).all()


@pytest.mark.parametrize(("units", "mm"), [(1, 1000.0), (3, 0.001)])
def test_metres_and_micrometres_become_millimetres(tmp_path, units, mm):
    write_nifti(tmp_path / "a.nii", HU, np.diag([1 / mm, 1 / mm, 1 / mm, 1]) @ LPS, units=units)
    assert is_the_chest(read_ct(tmp_path / "a.nii"))


def test_a_nifti_file_stored_from_the_left_is_turned(tmp_path):
    affine = np.array([[5.0, 0, 0, -184], [0, -5.0, 0, 150], [0, 0, 4.0, -340], [0, 0, 0, 1]])
    write_nifti(tmp_path / "a.nii", HU[:, :, ::-1], affine, qform_code=0)
    assert is_the_chest(read_ct(tmp_path / "a.nii"))


@pytest.mark.parametrize("asked", ["a.img", "a.hdr"])
def test_a_pair_of_header_and_pixels_is_one_volume(tmp_path, asked):
    image = Geometry((72, 64, 12), SPACING_MM, (-171.0, -150.0, -340.0)).with_array(HU)
    sitk.WriteImage(image, str(tmp_path / "a.img"))
    assert is_the_chest(read_ct(tmp_path / asked))
    (tmp_path / "a.img").unlink()
    assert refusal(tmp_path / "a.hdr").message == (
        "a.hdr is not a CT volume. Load it in Slicer and save it as .nrrd."
    )


# NIfTI: what is said


def test_nan_in_a_nifti_file_is_no_0_hu(tmp_path):
    values = HU.astype(np.float32)
    values[:, :5] = np.nan
    write_nifti(tmp_path / "a.nii", values, LPS)
    assert (read_ct(tmp_path / "a.nii").hu[:, :5] == OUTSIDE_HU).all()
    values[6, 30, 40] = np.nan
    write_nifti(tmp_path / "a.nii", values, LPS)
    assert "1 of its values inside the image are not numbers" in refusal(tmp_path / "a.nii").message


@pytest.mark.parametrize("with_qform", [True, False])
@pytest.mark.parametrize(
    ("factor", "sizes"), [((1, 1, 5 / 4), "5 × 5 × 5 mm"), ((0.5, 0.5, 0.25), "2.5 × 2.5 × 1 mm")]
)
def test_a_sform_of_another_spacing_contradicts(tmp_path, factor, sizes, with_qform):
    sform = LPS @ np.diag([*factor, 1])
    write_nifti(tmp_path / "a.nii", HU, LPS, sform=sform, qform_code=int(with_qform))
    [(code, message)] = [w for w in read_ct(tmp_path / "a.nii").warnings if w[0] != "coarse_pixels"]
    assert code in DOUBTFUL
    other = "qform" if with_qform else "pixdim"
    assert f"voxels measure {sizes} by its sform, 5 × 5 × 4 mm by its {other}" in message


def test_a_sform_of_another_orientation_contradicts(tmp_path):
    sform = LPS @ np.diag([1, 1, -1, 1])
    write_nifti(tmp_path / "a.nii", HU, LPS, sform=sform, qform_code=1)
    [(code, message)] = read_ct(tmp_path / "a.nii").warnings[:1]
    assert code == "geometry_contradicts"
    assert "axes point to LPI by its sform, to LPS by its qform" in message


def test_forms_that_agree_up_to_their_origin_do_not_contradict(tmp_path):
    sform = LPS.copy()
    sform[:3, 3] += 40
    write_nifti(tmp_path / "a.nii", HU, LPS, sform=sform, qform_code=1)
    assert codes(read_ct(tmp_path / "a.nii")) == []


def test_a_nifti_file_without_codes_has_no_known_orientation(tmp_path):
    write_nifti(tmp_path / "a.nii", HU, LPS, sform_code=0)
    volume = read_ct(tmp_path / "a.nii")
    assert codes(volume) == ["orientation_unknown"]
    assert (volume.hu == HU).all()
    assert volume.spacing_mm == pytest.approx(SPACING_MM)


def test_a_singular_sform_gives_way_to_the_qform(tmp_path):
    write_nifti(tmp_path / "a.nii", HU, LPS, sform=np.diag([0, 0, 0, 1.0]), qform_code=1)
    volume = read_ct(tmp_path / "a.nii")
    assert codes(volume) == ["singular_affine"]
    assert is_the_chest(volume)
    write_nifti(tmp_path / "a.nii", HU, LPS, sform=np.diag([0, 0, 0, 1.0]))
    assert codes(read_ct(tmp_path / "a.nii")) == ["singular_affine", "orientation_unknown"]


def test_a_qform_that_is_no_number_is_no_orientation(tmp_path):
    write_nifti(tmp_path / "a.nii", HU, LPS, qform_code=1, sform_code=0)
    header = bytearray((tmp_path / "a.nii").read_bytes())
    header[256:260] = np.float32(np.nan).tobytes()  # the quaternion's b
    (tmp_path / "a.nii").write_bytes(header)
    volume = read_ct(tmp_path / "a.nii")
    assert codes(volume) == ["orientation_unknown"]
    assert (volume.hu == HU).all()


def test_a_sheared_affine_is_refused_with_its_angle_and_a_way_out(tmp_path):
    sform = LPS.copy()
    sform[1, 2] = -4 * np.tan(np.deg2rad(12))
    write_nifti(tmp_path / "a.nii", HU, LPS, sform=sform)
    refused = refusal(tmp_path / "a.nii")
    assert refused.kind == "sheared"
    assert refused.message.startswith("a.nii is sheared by 12°: its axes are not at right angles")
    assert "_Tilt that dcm2niix writes" in refused.message


def test_a_nifti_file_without_spacing_is_refused(tmp_path):
    write_nifti(tmp_path / "a.nii", HU, LPS, sform_code=0, pixdim=(0, 0, 0))
    assert refusal(tmp_path / "a.nii").kind == "no_spacing"


def test_several_frames_and_an_axis_too_many_are_told_apart(tmp_path):
    write_nifti(tmp_path / "a.nii", np.stack([HU, HU]), LPS, size=(72, 64, 12, 2))
    assert refusal(tmp_path / "a.nii").message == (
        "a.nii is a sequence of 2 frames, but only one can be screened at a time. Save one time "
        "point as a separate volume."
    )
    write_nifti(tmp_path / "a.nii", HU, LPS, size=(1, 72, 64, 12))
    assert "has 1 × 72 × 64 × 12 values: an axis of length 1" in refusal(tmp_path / "a.nii").message


# NRRD


def write_nrrd(path, header: str, pixels: bytes) -> None:
    lines = f"NRRD0004\ntype: int16\nendian: little\n{header}\n"
    path.write_bytes(lines.encode() + b"\n" + pixels)


THREE = "dimension: 3\nsizes: 72 64 12\n"
PLACED = "space: left-posterior-superior\nspace origin: (-171,-150,-340)\n"
AXES = "space directions: (5,0,0) (0,5,0) (0,0,4)\n"


def test_an_nrrd_file_without_spacing_is_refused(tmp_path):
    write_nrrd(tmp_path / "a.nrrd", THREE + "encoding: raw", HU.tobytes())
    refused = refusal(tmp_path / "a.nrrd")
    assert refused.kind == "no_spacing"
    assert refused.message.startswith("a.nrrd does not give its voxel spacing")


def test_an_nrrd_file_with_spacings_alone_has_no_known_orientation(tmp_path):
    write_nrrd(tmp_path / "a.nrrd", THREE + "spacings: 5 5 4\nencoding: raw", HU.tobytes())
    assert codes(read_ct(tmp_path / "a.nrrd")) == ["orientation_unknown"]


@pytest.mark.parametrize("space", ["space dimension: 3\n", "space: 3D-right-handed\n"])
def test_axes_in_no_anatomical_space_are_no_orientation(tmp_path, space):
    write_nrrd(tmp_path / "a.nrrd", THREE + space + AXES + "encoding: raw", HU.tobytes())
    assert codes(read_ct(tmp_path / "a.nrrd")) == ["orientation_unknown"]


def test_a_sheared_nrrd_file_is_refused(tmp_path):
    axes = "space directions: (5,0,0) (0,5,0) (0,0.85,4)\n"
    write_nrrd(tmp_path / "a.nrrd", THREE + PLACED + axes + "encoding: raw", HU.tobytes())
    assert "a.nrrd is sheared by 12°" in refusal(tmp_path / "a.nrrd").message


def test_a_detached_header_is_read_and_a_lost_data_file_named(tmp_path):
    header = THREE + PLACED + AXES + "encoding: raw\ndata file: a.raw"
    write_nrrd(tmp_path / "a.nhdr", header, b"")
    (tmp_path / "a.raw").write_bytes(HU.tobytes())
    assert is_the_chest(read_ct(tmp_path / "a.nhdr"))
    (tmp_path / "a.raw").unlink()
    assert refusal(tmp_path / "a.nhdr").message == (
        "a.nhdr stores its pixels in a.raw, which is missing. Copy both files into one folder."
    )


def test_a_bzip2_nrrd_file_is_refused_by_its_packing(tmp_path):
    header = THREE + PLACED + AXES + "encoding: bzip2"
    write_nrrd(tmp_path / "a.nrrd", header, bz2.compress(HU.tobytes()))
    assert refusal(tmp_path / "a.nrrd").message == (
        "a.nrrd has the encoding bzip2, which is not supported. Save it with gzip or raw encoding."
    )


def test_an_nrrd_file_in_text_is_read(tmp_path):
    header = THREE + PLACED + AXES + "encoding: ascii"
    write_nrrd(tmp_path / "a.nrrd", header, " ".join(map(str, HU.ravel())).encode())
    assert is_the_chest(read_ct(tmp_path / "a.nrrd"))


def test_a_sequence_of_one_frame_is_read_and_one_of_two_refused(tmp_path):
    axes = AXES.replace("directions:", "directions: none") + "kinds: list domain domain domain\n"
    one = "dimension: 4\nsizes: 1 72 64 12\n" + PLACED + axes + "encoding: raw"
    write_nrrd(tmp_path / "a.seq.nrrd", one, HU.tobytes())
    assert is_the_chest(read_ct(tmp_path / "a.seq.nrrd"))
    two = one.replace("sizes: 1", "sizes: 2")
    write_nrrd(tmp_path / "a.seq.nrrd", two, np.stack([HU, HU], axis=-1).tobytes())
    assert "is a sequence of 2 frames" in refusal(tmp_path / "a.seq.nrrd").message


# MetaImage and others


def a_metaimage(path, **changes: str | None) -> None:
    image = Geometry((72, 64, 12), SPACING_MM, (-171.0, -150.0, -340.0)).with_array(HU)
    sitk.WriteImage(image, str(path))
    lines = path.read_text().splitlines()
    kept = [line for line in lines if changes.get(line.split(" =")[0], "") is not None]
    said = [
        f"{key} = {changes[key]}" if (key := line.split(" =")[0]) in changes else line
        for line in kept
    ]
    path.write_text("\n".join(said) + "\n")


def test_a_metaimage_is_told_by_its_header(tmp_path):
    a_metaimage(tmp_path / "a.mhd")
    assert codes(read_ct(tmp_path / "a.mhd")) == []
    a_metaimage(tmp_path / "a.mhd", TransformMatrix=None)
    assert codes(read_ct(tmp_path / "a.mhd")) == ["orientation_unknown"]
    a_metaimage(tmp_path / "a.mhd", ElementSpacing=None)
    assert refusal(tmp_path / "a.mhd").kind == "no_spacing"
    a_metaimage(tmp_path / "a.mhd", ElementSpacing="5 5 -4")
    assert (
        "a spacing of 5 × 5 × -4 mm, but every spacing must be above"
        in refusal(tmp_path / "a.mhd").message
    )
    a_metaimage(tmp_path / "a.mhd", TransformMatrix="1 0 0 0 1 0 0 0.2 1")
    assert refusal(tmp_path / "a.mhd").kind == "sheared"


def test_a_metaimage_of_a_file_for_each_slice_is_whole_or_refused(tmp_path):
    for k, hu in enumerate(HU):
        hu.tofile(tmp_path / f"{k}.raw")
    names = [f"{k}.raw" for k in range(len(HU))]
    a_metaimage(tmp_path / "a.mhd", ElementDataFile="\n".join(["LIST 2", *names]))
    assert is_the_chest(read_ct(tmp_path / "a.mhd"))
    a_metaimage(tmp_path / "a.mhd", ElementDataFile="\n".join(["LIST 2", *names[:-2]]))
    message = refusal(tmp_path / "a.mhd").message
    assert f"should have {HU.nbytes:,} bytes" in message
    assert f"has only {HU[:-2].nbytes:,}" in message


def test_a_gipl_file_is_read_with_its_spacing(tmp_path):
    image = Geometry((72, 64, 12), SPACING_MM, (-171.0, -150.0, -340.0)).with_array(HU)
    sitk.WriteImage(image, str(tmp_path / "a.gipl"))
    volume = read_ct(tmp_path / "a.gipl")
    assert (volume.hu == HU).all()
    assert codes(volume) == ["orientation_unknown"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.npy", "In Python, pass it with its spacing to CTVolume.from_array"),
        ("a.tar", "Unpack it and choose the folder or file inside."),
        ("A.PNG", "Use the DICOM series it was made from."),
        ("a.mgz", "Load it in Slicer and save it as .nrrd."),
        ("a.mrb", "Open it in Slicer and save the CT as .nrrd."),
    ],
)
def test_what_is_no_ct_volume_is_told_the_way_to_one(tmp_path, name, words):
    (tmp_path / name).write_bytes(b"whatever is in it" * 40)
    message = refusal(tmp_path / name).message
    assert message.startswith(f"{name} is not a CT volume. ")
    assert words in message


# Values


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda hu: hu + 1024, "The rescale intercept may be missing"),
        (lambda hu: hu + 1000, "The rescale intercept may be missing"),
        (lambda hu: (hu + 1000) / 1400, "its values range only from 0 to 1"),
        (
            lambda hu: np.clip((hu + 1350) / 1500 * 255, 0, 255),
            "in a chest they span more than 1000",
        ),
        (lambda hu: np.clip(hu, -600, 1500), "almost no voxels have the density of air"),
        (lambda hu: hu * 1000.0, "its values reach 32767"),
    ],
)
def test_values_on_another_scale_are_refused(tmp_path, change, words):
    write_nifti(tmp_path / "a.nii", change(HU).astype(np.float32), LPS)
    assert words in refusal(tmp_path / "a.nii").message


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda hu: hu * 0.8, "scaled_values"),
        (lambda hu: np.clip(hu, -800, None), "scaled_values"),
        (lambda hu: np.clip(hu, -1000, -100), "values_cut_off"),
        (lambda hu: np.clip(hu, -1000, 40), "values_cut_off"),
    ],
)
def test_values_a_little_off_get_no_verdict(tmp_path, change, code):
    write_nifti(tmp_path / "a.nii", change(HU).astype(np.float32), LPS)
    assert codes(read_ct(tmp_path / "a.nii")) == [code]
    assert code in DOUBTFUL
