"""Rewriting .tflite files.

records.py       a file as tables that keep every field, and back
trailing.py      what follows the flatbuffer in a file, such as a zip of labels
draft.py         a model to be edited: drafts in and out of plain functions, and the file that results
creation.py      records of what a pass has made
fold_padding.py  PAD into the convolution that follows
int8_input.py    int8 in the place of an input that is quantised at once, on request
clean.py         without what does nothing
reorder.py       the order of operators with the lowest peak; order_costs.py says what counts
floor.py         what no plan that keeps tensors whole can go below
shrink.py        all of these and a memory plan, so that no build gets worse
proof.py         the old and the new file in TFLM, byte by byte
bands/           early layers in bands of rows
"""
