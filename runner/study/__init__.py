"""Studies: known results on gradient descent, each reproduced by one command and checked.

A study is a config in `conf/study`, which says what is run, and a module with its theory: from
what was measured it makes claims, and pictures of the theory over the measurement.
"""

from runner.report.theory import Curve, Picture
from runner.study.claim import Claim, Findings, Rival

__all__ = ["Claim", "Curve", "Findings", "Picture", "Rival"]
