"""Lifetimes of small graphs, worked out by hand after TFLM's rules."""

from __future__ import annotations

import pytest
from support.tflite_files import Graph, Op, T, tflite

from firmware_sim import read
from firmware_sim.errors import ModelError
from firmware_sim.lifetimes import Lifetime, lifetimes


def tensors(*graphs: Graph) -> list[list[tuple[int, int]]]:
    found = lifetimes(read(tflite(*graphs)))
    return [[(life.first, life.last) for life in graph] for graph in found.tensors]


ROW = T([4])


def test_chain():
    graph = Graph([ROW] * 3, [Op("ABS", [0], [1]), Op("ABS", [1], [2])], [0], [2])
    assert tensors(graph) == [[(0, 1), (1, 2), (2, 2)]]


def test_residual_keeps_its_input():
    graph = Graph([ROW] * 4, [Op("ABS", [0], [1]), Op("ABS", [1], [2]), Op("ADD", [0, 2], [3])], [0], [3])
    assert tensors(graph) == [[(0, 3), (1, 2), (2, 3), (3, 3)]]


def test_output_lives_to_the_end():
    graph = Graph([ROW] * 3, [Op("ABS", [0], [1]), Op("ABS", [1], [2])], [0], [1, 2])
    assert tensors(graph) == [[(0, 1), (1, 2), (2, 2)]]
    graph = Graph([ROW] * 3, [Op("ABS", [0], [1]), Op("ABS", [0], [2])], [0], [1, 2])
    assert tensors(graph) == [[(0, 2), (1, 2), (2, 2)]]


def test_untouched_unread_and_unwritten():
    graph = Graph([ROW] * 4, [Op("ADD", [3, -1], [1])], [0], [1])
    assert tensors(graph) == [[(0, 0), (1, 1), (-1, -1), (-1, 1)]]


def branch() -> Graph:
    return Graph([ROW] * 2, [Op("ABS", [0], [1])], [0], [1])


CHOICE = ("IfOptions", {"then_subgraph_index": 1, "else_subgraph_index": 2})


def test_if_overlaps_both_branches():
    main = Graph([T([1], "BOOL"), ROW, ROW], [Op("IF", [0, 1], [2], CHOICE)], [0, 1], [2])
    # The operator starts at 1; "then" begins at 2 and runs its operator at 3, "else" at 4 and 5.
    assert tensors(main, branch(), branch()) == [[(0, 5), (0, 5), (1, 5)], [(2, 3), (3, 3)], [(4, 5), (5, 5)]]
    found = lifetimes(read(tflite(main, branch(), branch())))
    assert found.operators == {(0, 0): Lifetime(1, 5), (1, 0): Lifetime(3, 3), (2, 0): Lifetime(5, 5)}


def test_subgraph_called_twice_keeps_its_beginning():
    once = ("CallOnceOptions", {"init_subgraph_index": 1})
    main = Graph(
        [ROW] * 2, [Op("CALL_ONCE", [], [], once), Op("CALL_ONCE", [], [], once), Op("ABS", [0], [1])], [0], [1]
    )
    assert tensors(main, branch()) == [[(0, 7), (7, 7)], [(2, 6), (3, 6)]]


def test_subgraph_that_nothing_calls():
    found = lifetimes(read(tflite(branch(), branch())))
    assert found.tensors[1] == (Lifetime(-1, -1),) * 2
    assert (1, 0) not in found.operators


def test_endless_recursion_is_refused():
    main = Graph([T([1], "BOOL"), ROW, ROW], [Op("IF", [0, 1], [2], CHOICE)], [0, 1], [2])
    with pytest.raises(ModelError, match="endless recursion"):
        lifetimes(read(tflite(main, main, branch())))
    with pytest.raises(ModelError, match="calls subgraph 1 of 1"):
        lifetimes(read(tflite(main)))


def test_calls_that_explode_are_refused():
    """Forty subgraphs, each of which calls the next one twice."""
    graphs = []
    for index in range(40):
        call = ("CallOnceOptions", {"init_subgraph_index": index + 1})
        graphs.append(Graph([ROW] * 2, [Op("CALL_ONCE", [], [], call)] * 2 if index < 39 else [], [0], [0]))
    with pytest.raises(ModelError, match="million"):
        lifetimes(read(tflite(*graphs)))
