"""FractalDB, images of random fractals, made here: the same classes as the published ones.

Compared with the published parameters, bit for bit: categories 0, 1, 2, 4, 7, 39, 250, 388, 975 and 999 of 1,000,
which also shows that none is missing or too many before the last.  The parameters of 3,000 classes are not published;
here they are the next of the same stream.  Images cannot agree, as the published masks were drawn without a seed.

Measured (one core of an AMD EPYC virtual machine, 2026-11-21, processor time): 9.3 ms a draw, 42,688 draws for 1,000
classes; 2.1 s to draw and pack a class of 1,000 images of 362 pixels and its 25 for validation; 8.8 MB a class on disk.
"""
