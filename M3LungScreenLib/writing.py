"""A disk that refuses: one kind of error, whichever library writes, and one sentence."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from M3LungScreenLib.errors import UsageError, memory_ran_out

# The numbers of what only writing meets: no room, over quota, too large, read-only, broken.
REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
# With less room than this left, the reason is that the disk is full.
FULL_BELOW_BYTES = 1 << 20


@contextmanager
def writer_errors(path: Path) -> Iterator[None]:
    """Around a call that does nothing but write `path`: what it raises becomes an OSError.

    ITK and torch say that a disk is full in a RuntimeError, safetensors in an error of its own.
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
    """The error for `path` where a library did not say why it could not be written."""
    number = errno.ENOSPC if _free_bytes(path) < FULL_BELOW_BYTES else errno.EIO
    return OSError(number, os.strerror(number), str(path))


def not_written(target: object, wrong: OSError) -> UsageError:
    """The refusal to be raised: `target` as the user named it."""
    why = wrong.strerror or wrong
    return UsageError(
        "output_not_written",
        f"{target} could not be written: {why}. Make room or name another place.",
    )


def _free_bytes(path: Path) -> int:
    standing = next(each for each in path.absolute().parents if each.exists())
    return shutil.disk_usage(standing).free
