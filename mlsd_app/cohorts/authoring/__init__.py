"""Checking problems before anybody sees them: the same report for a folder of the site and for one that is sent in."""
