"""What an interview is looked back at with. `debrief_of` puts it together; nothing in it is kept, nothing in it is graded anew.

own       the candidate's own judgement, before and beside the graders'
pacing    time and words
told      facts and numbers
evidence  runs, claims, events
compare   walkthrough, design, what cost most
"""

from mlsd_app.interviews.debrief.assembly import Debrief, debrief_of

__all__ = ["Debrief", "debrief_of"]
