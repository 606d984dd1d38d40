"""Search: what happens between a query and a click.

clicks  models of how people read a result page: position-based, cascade, dynamic Bayesian network; simulated and fitted
"""
