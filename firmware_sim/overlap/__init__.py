"""What an operator may write over: which kernels are done with the bytes of an input that their output overwrites.

rules.json   per kind of operator and kernel library: in which steps a kernel reads and writes, with the source
rules.py     finds the rule of an operator
windows.py   where convolutions and pools read
views.py     tensors that lie inside others
layout.py    the blocks of a plan, and how far apart they have to be
distance.py  how far above its output an input has to begin
storage.py   tensors that share memory though no operator says so
unroll.py    loops as one row of operators
replay.py    checks a finished plan step by step, without these distances
standing.py  how the plan of a file stands to the kernels of a profile
"""
