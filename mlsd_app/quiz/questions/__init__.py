"""Questions as pure functions of an item, a seed and, for lab questions, an instance: no database, no request, no clock.

question = draw(item, problem, seed=7)
question.public()                      # what may be shown before the answer
question.mark({"text": "80 GB"})       # Marked, or InvalidInput for what is no answer
"""

from mlsd_app.quiz.questions.base import LabFacts, Marked, Question, Reason
from mlsd_app.quiz.questions.drawing import draw

__all__ = ["LabFacts", "Marked", "Question", "Reason", "draw"]
