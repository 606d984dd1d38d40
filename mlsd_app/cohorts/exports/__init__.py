"""What staff and learners take away: rows of eight kinds as CSV or JSON Lines, written a row at a time."""
