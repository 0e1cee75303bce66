"""Which rasters the network takes."""

RASTER_MULTIPLE = 48
"""Model rasters are multiples of this: features are a quarter, and the smallest patch a twelfth."""

LARGEST_SIDE = 32_736
"""Pixels of a raster's sides at most: OpenCV fetches from no image of 32,767."""

TRAINED_PIXELS = 432 * 240
"""Of the raster that the paper's networks, and the first of ours, were trained at."""
