"""One module for each implementation: its operations under fastseg's names and parameters, ready to be timed.

A module of a peer is imported in the peers' environment, where there is no fastseg: these modules import NumPy,
their own packages and `bench` only.
"""
