"""Rewriting .tflite files.

records.py   a file as tables that keep every field, known to us or not, and back
trailing.py  what follows the flatbuffer in a file, such as a zip of labels
draft.py     a model to be edited: graphs in and out of plain functions, and the file that results
"""
