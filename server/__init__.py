"""The persistent process that holds the network; imports nothing, so that nodes can use
``server.protocol`` without torch."""
