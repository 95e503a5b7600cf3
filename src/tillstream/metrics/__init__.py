"""The metrics catalogue. `Metric` and `declare` are public for plug-ins."""

from tillstream.metrics.catalogue import Metric, declare

__all__ = ["Metric", "declare"]
