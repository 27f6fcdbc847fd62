"""CT out of the MRML scene, results in. The scene is an argument; vtk and MRML classes only."""
