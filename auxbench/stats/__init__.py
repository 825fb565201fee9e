"""Statistics of records: functions of numbers and frames, which never import torch."""

from auxbench.stats.frame import frame
from auxbench.stats.multiplicity import decide, holm
from auxbench.stats.paired import Paired, detectable, interval, paired
from auxbench.stats.ranks import imputed, ranks

__all__ = [
    "Paired",
    "decide",
    "detectable",
    "frame",
    "holm",
    "imputed",
    "interval",
    "paired",
    "ranks",
]
