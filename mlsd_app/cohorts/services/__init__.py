"""Writing. Each function is one action, in one transaction with its audit entry. Who may call it, `rules.py` says and views ask."""
