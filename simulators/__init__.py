"""Labs and the engines behind them. Pure Python: nothing here knows of Django, Celery, Redis or HTTP."""
