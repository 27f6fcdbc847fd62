# Slicer's own build and packages are not made here.
