"""The statistics of an online experiment, usable from a notebook.

assignment  hashing, targeting, the arm of a unit or of many, layers and holdout
stats    sums of an arm (`Moments`), cubes of them, and the comparison of two arms: Welch, z, chi-square, CUPED, ratios, relative lift
srm      sample ratio mismatch, once or at every look
power    sample size, power and minimal detectable effect
tabular  the user's CSV or Parquet file, read in batches
"""
