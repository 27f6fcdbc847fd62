"""Errors that a user can fix, with the exit status of each.

    M3LungScreenError 1    out of memory
    ├── UsageError      2    the command or its arguments are wrong
    ├── InputRefused    3    the input is not a chest CT that can be screened
    ├── ModelRefused    4    the bundle is missing, damaged or of another version
    ├── NotSent         5    a DICOM node did not accept every object
    └── Cancelled     130    the user stopped it

A message is one or two plain sentences: what is wrong, then what to do. Programs match on
`kind`, which does not change.
"""


class M3LungScreenError(Exception):
    """An error with a `kind` for programs and a message for people."""

    exit_status = 1

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class UsageError(M3LungScreenError):
    exit_status = 2


class InputRefused(M3LungScreenError):
    exit_status = 3


class ModelRefused(M3LungScreenError):
    exit_status = 4


class NotSent(M3LungScreenError):
    exit_status = 5


class Cancelled(M3LungScreenError):
    exit_status = 130

    def __init__(self) -> None:
        super().__init__("cancelled", "Cancelled. Nothing was written.")


MEMORY_RAN_OUT = "Out of memory. Close other programs or volumes, or screen with less detail."


def memory_ran_out(wrong: Exception) -> bool:
    """Whether memory ran out: NumPy raises MemoryError, torch and ITK a RuntimeError."""
    words = ("allocate memory", "bad_alloc", "not enough memory")
    return isinstance(wrong, MemoryError) or any(each in str(wrong) for each in words)
