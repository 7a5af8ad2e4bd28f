"""Training networks: data sets, patches, losses, the loop, and what is kept of a run.

Settings and checks of data work without PyTorch; it is imported where patches are made and networks are trained.
"""
