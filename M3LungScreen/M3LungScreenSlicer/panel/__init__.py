"""The module's panel: Qt and Slicer's widgets over the logic, nothing that computes."""
