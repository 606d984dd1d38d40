"""Celery tasks of the run pipeline."""
