"""The wire contract: inpaint.proto, the stubs generated from it, and the pixel codec."""
