"""Ranking: the funnel from millions of items to one page, from training to the auction, on worlds whose probabilities are known.

metrics      ranking quality and calibration, with the excess over the known probability
data         click logs, ratings and bandit logs: arrays, files, splits, hashing
models       click models on one fused embedding table
retrieval    two towers, co-watch, merging of candidate sources
multitask    several labels at once: shared bottom, MMoE, PLE
position     how much of a click is the position
rerank       scores into a page: weights, diversity, caps
calibration  probabilities put right; auction: what wrong ones cost
delayed      conversions that come late; drift: worlds that change; ope: a new policy judged by the old one's log
loop         a recommender that learns from what it showed
counters     counts over windows; communities: who follows whom; fusion: several modalities; encoding: uploads to indexable videos
worlds       synthetic truth for all of them
"""
