"""M3LungScreen: pneumonia screening from chest CT (pure Python, knows no Slicer)."""
