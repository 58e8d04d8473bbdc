"""Rendering: camera, rasterisation with several backends, interpolation, shading and texture look-up."""
