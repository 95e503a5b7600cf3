"""What holds for every backend."""

from __future__ import annotations

from tests.inprocess.patience import patient

__all__ = ["patient"]
