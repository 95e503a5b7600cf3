"""tillstream: a chain of shops sees its day live, to the cent, and never loses a receipt."""

__version__ = "0.1.0"
