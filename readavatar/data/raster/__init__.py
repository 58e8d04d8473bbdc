"""What the appearance network sees of a frame: the rasterised mesh, the paint mask and the footage around it."""
