"""pip's output in words for the user."""

import pytest
from M3LungScreenSlicer.pip_messages import failure_message, progress_text


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        ("[WinError 5] Access is denied: 'scipy\\\\_lib'", "is in use"),
        ("does not have Windows Long Path support enabled.", "too long for Windows"),
        ("HTTPSConnectionPool: Max retries exceeded (SSLError(...))", "proxy"),
        ("something new", "under Details"),
    ],
)
def test_every_failure_of_pip_is_one_sentence_with_a_way_out(said, words):
    assert words in failure_message(said)
    assert failure_message(said).endswith(".")


def test_of_an_address_the_files_name_is_shown():
    line = "  Downloading https://download.pytorch.org/whl/cu130/torch-2.9.0.whl (1812.4 MB)"
    shown = progress_text("", line)
    assert progress_text(shown, "Progress 41 of 100") == (
        "Downloading torch-2.9.0.whl (1812.4 MB), 41 %"
    )


def test_progress_that_is_none_changes_nothing():
    for line in ("Progress", "Progress 5 of 0", "Progress a of b", "Progress 5"):
        assert progress_text("Downloading", line) in ("Downloading", line)
