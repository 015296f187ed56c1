"""nescio: teach a language model to know what it does not know."""

__version__ = "0.1.0"
