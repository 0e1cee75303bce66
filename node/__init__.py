"""The thin adapter inside a compositing host: color, crop, stream, composite."""
