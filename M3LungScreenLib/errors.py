"""What can go wrong in a way the user can mend, and the exit status of each.

    M3LungScreenError 1    the memory ran out
    ├── UsageError      2    the command cannot be carried out as given
    ├── InputRefused    3    no chest CT that this tool may answer for
    ├── ModelRefused    4    the bundle is missing, damaged or of another version
    └── Cancelled     130    the user stopped it

A message is one plain sentence or two: both sides of the mismatch, then what to
do. `kind` is the stable word that programs match on.
"""


class M3LungScreenError(Exception):
    """A refusal: `kind` for programs, the message for people."""

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


class Cancelled(M3LungScreenError):
    exit_status = 130

    def __init__(self) -> None:
        super().__init__("cancelled", "Cancelled; nothing was written.")


MEMORY_RAN_OUT = "The memory ran out. Close other programs or volumes, or screen with less detail."


def memory_ran_out(wrong: Exception) -> bool:
    """numpy raises MemoryError; torch and ITK say it in the words of a RuntimeError."""
    words = ("allocate memory", "bad_alloc", "not enough memory")
    return isinstance(wrong, MemoryError) or any(each in str(wrong) for each in words)
