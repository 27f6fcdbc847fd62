"""NIfTI files with any header, right or wrong; affines are RAS mm."""

import gzip
import struct
from pathlib import Path

import numpy as np

CODES = {"i2": 4, "i4": 8, "f4": 16, "f8": 64, "u2": 512, "i8": 1024, "u1": 2}


def write_nifti(
    path: Path,
    values: np.ndarray,
    affine: np.ndarray,
    *,
    sform: np.ndarray | None = None,
    sform_code: int = 1,
    qform_code: int = 0,
    pixdim: tuple[float, ...] | None = None,
    units: int = 2,
    scale: tuple[float, float] = (1.0, 0.0),
    order: str = "<",
    version: int = 1,
    packed: bool | None = None,
    size: tuple[int, ...] | None = None,
) -> None:
    """`values` `[z, y, x]`; `sform` is `affine` unless another is given.

    The qform is `affine`'s, which must lie along the axes. Gzip follows the name unless
    `packed` says otherwise.
    """
    size = size or values.shape[::-1]
    dim = (len(size), *size, *[1] * (7 - len(size)))
    lengths = np.linalg.norm(affine[:3, :3], axis=0) if pixdim is None else pixdim
    kind = values.dtype.newbyteorder(order)
    flip = float(np.sign(np.linalg.det(affine[:3, :3])))
    # A quaternion of 0, 0, 1 turns by 180° about z: L, P, S. One of 0, 0, 0: R, A, S.
    turn = (0, 0, 1) if affine[0, 0] < 0 else (0, 0, 0)
    rows = (affine if sform is None else sform)[:3].ravel()
    fields = {
        "dim": dim,
        "type": (CODES[values.dtype.str[1:]], 8 * kind.itemsize),
        "pixdim": (flip, *lengths, 1, 1, 1, 1)[:8],
        "scale": scale,
        "units": (units,),
        "codes": (qform_code, sform_code),
        "quaternion": (*turn, *affine[:3, 3]),
        "srow": rows,
    }
    head = _header(fields, order, version)
    content = head + values.astype(kind).tobytes()
    is_packed = path.name.lower().endswith(".gz") if packed is None else packed
    path.write_bytes(gzip.compress(content, 1) if is_packed else content)


def _header(fields: dict[str, tuple], order: str, version: int) -> bytes:
    one = {
        "dim": (40, "8h"),
        "type": (70, "2h"),
        "pixdim": (76, "8f"),
        "scale": (112, "2f"),
        "units": (123, "B"),
        "codes": (252, "2h"),
        "quaternion": (256, "6f"),
        "srow": (280, "12f"),
    }
    two = {
        "dim": (16, "8q"),
        "type": (12, "2h"),
        "pixdim": (104, "8d"),
        "scale": (176, "2d"),
        "units": (500, "i"),
        "codes": (344, "2i"),
        "quaternion": (352, "6d"),
        "srow": (400, "12d"),
    }
    head = bytearray(352 if version == 1 else 544)
    struct.pack_into(order + "i", head, 0, len(head) - 4)
    if version == 1:
        struct.pack_into(order + "f", head, 108, 352)
        head[344:348] = b"n+1\0"
    else:
        struct.pack_into(order + "q", head, 168, 544)
        head[4:12] = b"n+2\0\r\n\x1a\n"
    for name, (offset, form) in (one if version == 1 else two).items():
        struct.pack_into(order + form, head, offset, *fields[name])
    return bytes(head)
