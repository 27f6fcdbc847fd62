"""How numbers are written in panel, report, montage and console."""


def percent(share: float) -> str:
    """One decimal, never a false 0 or 100, with non-breaking spaces."""
    if 0 < share < 0.0005:
        words = "< 0.1 %"
    elif 0.9995 <= share < 1:
        words = "> 99.9 %"
    else:
        words = f"{100 * share:.1f} %"
    return words.replace(" ", "\N{NO-BREAK SPACE}")
