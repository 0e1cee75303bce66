"""STTN: the network, and inference, training and evaluation around it."""
