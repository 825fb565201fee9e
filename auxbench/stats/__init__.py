"""Statistics of records: functions of numbers and frames, which never import torch."""

from auxbench.stats.frame import frame
from auxbench.stats.paired import Paired, holm, interval, paired

__all__ = ["Paired", "frame", "holm", "interval", "paired"]
