"""The form that every refusal of an input has."""

from pathlib import Path

import pytest

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
