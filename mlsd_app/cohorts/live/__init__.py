"""Running interviews of a cohort: the board, following one of them, and what proctors can do with them."""
