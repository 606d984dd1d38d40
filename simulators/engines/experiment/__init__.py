"""The statistics of an online experiment, usable from a notebook.

assignment   hashing, targeting, the arm of a unit or of many, layers and holdout
stats        sums of an arm (`Moments`), cubes of them, and the comparison of two arms: Welch, z, chi-square, CUPED, ratios, relative lift
srm          sample ratio mismatch, once or at every look
power        sample size, power and minimal detectable effect
multiple     corrections for many tests
sequential   rules that stop early: spending bounds, confidence sequences, mSPRT, and what each costs
marketplace  a ride market with shared drivers, designs that recover a launch's effect, interleaving
uplift       who gains: meta-learners, a causal forest, Qini, GATES
novelty      effects that fade, holdouts whose ids change
mix          pooled against stratified effects, a metric that is redefined
tabular      the user's CSV or Parquet file, read in batches; results_file, faults and unit_days build on it
worlds       synthetic users whose truth is known
"""
