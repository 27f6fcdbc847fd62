"""What the module needs beside Slicer's own classes: scene, panel, child process, installation."""
