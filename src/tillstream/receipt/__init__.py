"""The canonical receipt: its model, its validation, and the SQL that normalizes it. Plug-ins can import `Fault`."""

from tillstream.receipt.model import Fault

__all__ = ["Fault"]
