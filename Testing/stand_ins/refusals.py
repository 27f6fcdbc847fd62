"""The form that every refusal of an input has, and what a reader may say else."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from M3LungScreenLib.ct import CTVolume
from M3LungScreenLib.errors import InputRefused
from M3LungScreenLib.reading import read_ct


def refusal(path: Path, series: str | None = None) -> InputRefused:
    """The refusal of `path`, held to the form that all have."""
    with pytest.raises(InputRefused) as caught:
        read_ct(path, series)
    message = caught.value.message
    assert "\n" not in message
    assert message.endswith(".")
    assert "itk" not in message.lower()
    return caught.value


def codes(volume: CTVolume) -> list[str]:
    """The codes of a volume's warnings, without that of small test chests' coarse pixels."""
    return sorted(code for code, _ in volume.warnings if code != "coarse_pixels")


@pytest.fixture
def nothing_on_stderr(capfd) -> Iterator[None]:
    """Readers in C++ write there behind Python's back."""
    yield
    assert capfd.readouterr().err == ""
