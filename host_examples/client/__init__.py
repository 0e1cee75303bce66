"""Short scripts for farms and pipelines; each may be copied as it is."""
