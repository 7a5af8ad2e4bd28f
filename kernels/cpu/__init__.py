"""Parallel loops on the CPU. Every module has a twin of the same name in ``kernels.cuda`` where there is a GPU form."""
