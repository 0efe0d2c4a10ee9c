"""kbench: does training on fewer or other samples really save time, and at what accuracy?"""

__version__ = "0.1.0"
