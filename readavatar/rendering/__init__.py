"""Meshes → pixels: camera, rasterisation on any backend, interpolation, shading and texture look-up."""
