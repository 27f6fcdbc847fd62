"""A disk that takes no more: a real limit on the size of files, set for this process alone."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """Every write beyond `size` bytes of a file fails, as on a full disk (POSIX).

    The number differs (EFBIG for ENOSPC); what a library makes of it is the same.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
