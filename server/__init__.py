"""The persistent process that holds the network.

Imports nothing, so that nodes can use ``server.protocol`` without torch.
"""
