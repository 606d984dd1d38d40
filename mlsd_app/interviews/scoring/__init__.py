"""The score of an interview: rules mark what a machine can judge, people mark the rest, and one rule turns marks into a verdict.

sentences, graders, signals, verdict, checks, diagram and claims are pure; reading, rows and claim_rows touch the database.
"""

from mlsd_app.interviews.scoring.people import human_level, human_mark, self_assess
from mlsd_app.interviews.scoring.rows import grade, regrade
from mlsd_app.interviews.scoring.scorecard import Scorecard, scorecard

__all__ = ["Scorecard", "grade", "human_level", "human_mark", "regrade", "scorecard", "self_assess"]
