"""Trained segmentation: 3D U-Nets, their checkpoints, and prediction that does not depend on patches or tiles.

What describes a network (its layers, valid sizes, costs) works without PyTorch; PyTorch is imported when a network is
built or run.
"""
