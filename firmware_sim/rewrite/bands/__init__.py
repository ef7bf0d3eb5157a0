"""Early layers of a network in bands of rows, in stock TFLM.

geometry.py    which rows belong together: windows, padding, row for row
layers.py      operators that work row by row, and why others do not
stage.py       layers between two cuts, and what each does for a band
lines.py       rows that stay from one band to the next
shapes.py      bands that are alike
pieces.py      operators that copy rows, tensors of parts, constants
build.py       stages in bands, written into a graph
forms.py       with the copies, without those that are needless, in loops
loops.py       bands of one shape as one WHILE
estimate.py    what a band needs in memory, reckoned without planning
heights.py     how high bands can be for a limit
line_costs.py  the same where rows stay
propose.py     stages and heights for a limit, by dynamic programming
pricing.py     the exact arena of a choice
changes.py     small changes of a choice
search.py      many limits, small changes, exact prices in the order of what is promised; the ladder
run.py         the whole: a file in, a file out
preview.py     the same for a model that is in no file yet
reasons.py     why there are no bands
proof.py       tensors between the layers in TFLM, outputs in LiteRT
"""
