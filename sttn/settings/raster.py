"""Which rasters the network takes."""

RASTER_MULTIPLE = 48
"""Model rasters are multiples of this: features are a quarter, and the smallest patch a twelfth."""
