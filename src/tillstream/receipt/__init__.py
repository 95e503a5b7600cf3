"""The canonical receipt: its model, validation and the SQL that normalises it. `Fault` is public for plug-ins."""

from tillstream.receipt.model import Fault

__all__ = ["Fault"]
