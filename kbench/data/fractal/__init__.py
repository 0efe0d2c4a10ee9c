"""FractalDB, images of random fractals, made here: the same classes as the published ones."""

from kbench.data.fractal.make import begun, make
from kbench.data.fractal.render import Look

__all__ = ["Look", "begun", "make"]
