"""The interviewer: answers what is asked, says where the clock stands, throws in events, reads constraints back.

matcher, facts, prompts and schedule are pure; questions, curveballs, constraints and firing keep what happened.
"""
