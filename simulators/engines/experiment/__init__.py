"""The statistics of an online experiment, usable from a notebook.

stats    sums of an arm (`Moments`), cubes of them, and the comparison of two arms: Welch, z, chi-square, CUPED, ratios, relative lift
srm      sample ratio mismatch
power    sample size, power and minimal detectable effect
tabular  the user's CSV or Parquet file, read in batches
"""
