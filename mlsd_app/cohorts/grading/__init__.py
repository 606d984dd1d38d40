"""How people grade what was handed in: the queue, the page, the marks, the rubric of an assignment, and letting results out."""
