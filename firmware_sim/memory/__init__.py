"""How TensorFlow Lite Micro fills its arena.

sizes/      bytes of its structures per ABI, as data
kernels/    what kernels ask for in Init and Prepare, one family of operators a file
tail.py     the persistent part, allocation by allocation
offline.py  places that a model brings along in its metadata
head.py     the planned part
startup.py  the arena that initialisation needs
"""
