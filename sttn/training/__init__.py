"""Training: footage with known pixels, holes cut into it, and the losses of the paper."""
