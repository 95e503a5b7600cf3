"""tillstream: live sales figures of a chain of stores, exact to the cent, without a lost receipt."""

__version__ = "0.1.0"
