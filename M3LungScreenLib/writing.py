"""Turns the errors of all libraries that write files into one kind of error."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from M3LungScreenLib.errors import UsageError, memory_ran_out

# Errors of writing only: disk full, over quota, file too large, read-only, broken.
REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
# With less free space than this, the disk counts as full.
FULL_BELOW_BYTES = 1 << 20


@contextmanager
def writer_errors(path: Path) -> Iterator[None]:
    """Turns any error of a call that only writes `path` into an OSError.

    If the disk is full, ITK and torch raise RuntimeError, safetensors an error of its own.
    """
    try:
        yield
    except (OSError, MemoryError):
        raise
    except Exception as wrong:
        if memory_ran_out(wrong):
            raise
        raise refused(path) from wrong


def refused(path: Path) -> OSError:
    """The error for `path` if a library did not say why it could not be written."""
    number = errno.ENOSPC if _free_bytes(path) < FULL_BELOW_BYTES else errno.EIO
    return OSError(number, os.strerror(number), str(path))


def not_written(target: object, wrong: OSError) -> UsageError:
    """The UsageError for `target`, as the user named it."""
    why = wrong.strerror or wrong
    return UsageError(
        "output_not_written",
        f"{target} could not be written: {why}. Free some space or choose another folder.",
    )


def _free_bytes(path: Path) -> int:
    standing = next(each for each in path.absolute().parents if each.exists())
    return shutil.disk_usage(standing).free
