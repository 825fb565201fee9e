"""Statistics of records: functions of numbers and frames, which never import torch."""

from auxbench.stats.collapse import collapsed
from auxbench.stats.decision import Claim, Decision, decide
from auxbench.stats.frame import frame
from auxbench.stats.multiplicity import holm
from auxbench.stats.paired import Paired, detectable, interval, paired
from auxbench.stats.ranks import imputed, ranks

__all__ = [
    "Claim",
    "Decision",
    "Paired",
    "collapsed",
    "decide",
    "detectable",
    "frame",
    "holm",
    "imputed",
    "interval",
    "paired",
    "ranks",
]
