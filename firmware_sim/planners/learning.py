"""Is there a plan of at most so many bytes? Decides the order of pair after pair, and learns from each contradiction.

Every block has a lowest and a highest offset. An order of two blocks raises the lowest offset of the upper one and lowers
the highest one of the lower; a pair of which only one order is still possible has it. So every offset has a chain of orders
that it comes from, and a contradiction is a few chains that are too long together. What they have in common is one clause:
not all of these orders. It leads back over all decisions that had no part in it, and rules out the same contradiction
elsewhere. This is lazy clause generation (Ohrimenko, Stuckey and Codish 2009, "Propagation via Lazy Clause Generation") with
the first unique implication point (Marques-Silva and Sakallah 1999, "GRASP") for the disjunctive pairs of Carlier and Pinson
1989, "An Algorithm for Solving the Job-Shop Problem", with offsets for times.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from firmware_sim.planners.problem import Problem

_RESTART_AFTER: Final = 50  # contradictions, of those that begin anew
_RESTART_GROWTH: Final = 1.3
_WEIGHT_GROWTH: Final = 1.05  # later contradictions count more

Chain = tuple[int, "Chain | None"]
"""The order that moved a bound last, and the chain of the bound that it moved on from; (-1, None) for none."""

_START: Final[Chain] = (-1, None)
_DECISION: Final[list[int]] = []  # is a reason by itself


class Pairs:
    """The pairs of a problem. Orders are numbers: twice that of a pair if its first block is above, one more if it is below.

    Attributes:
        sizes_bytes: of the blocks.
        orders: per order the upper block, the lower one, the distance.
        around: per block another one, the distances with it below and with it above, and these orders.
    """

    def __init__(self, problem: Problem) -> None:
        self.sizes_bytes = problem.sizes_bytes
        self.orders: list[tuple[int, int, int]] = []
        self.around: list[list[tuple[int, int, int, int, int]]] = [[] for _ in problem.sizes_bytes]
        for (one, other), above in problem.apart.items():
            if one < other:
                below = problem.apart[other, one]
                over, under = len(self.orders), len(self.orders) + 1
                self.orders += [(one, other, above), (other, one, below)]
                self.around[one].append((other, above, below, over, under))
                self.around[other].append((one, below, above, under, over))
        found = np.array(self.orders, np.int64).reshape(-1, 2, 3)
        self._one, self._other, self._above = found[:, 0].T
        self._below = found[:, 1, 2]

    def tightest(self, lows: list[int], highs: list[int], weights: NDArray[np.float64]) -> int | None:
        """Of the pairs that the lowest offsets violate the one with the least freedom for its weight, the likelier order.

        None if they are a plan.
        """
        low, high = np.array(lows, np.int64), np.array(highs, np.int64)
        violated = (low[self._one] < low[self._other] + self._above) & (low[self._other] < low[self._one] + self._below)
        (places,) = np.nonzero(violated)
        if not len(places):
            return None
        one, other = self._one[places], self._other[places]
        above = high[one] - low[other] - self._above[places]
        below = high[other] - low[one] - self._below[places]
        freedom = np.minimum(above, below) + np.maximum(above, below) // 4 + 1
        place = int(np.argmin(freedom / weights[places]))
        return 2 * int(places[place]) + int(above[place] < below[place])


class Tree:
    """A search for a plan of at most `peak_bytes`; `contradictions` counts those that were met."""

    def __init__(self, pairs: Pairs, peak_bytes: int) -> None:
        count = len(pairs.sizes_bytes)
        self.contradictions = 0
        self._pairs = pairs
        self._low = [0] * count
        self._high = [peak_bytes - size for size in pairs.sizes_bytes]
        self._low_chain: list[Chain] = [_START] * count
        self._high_chain: list[Chain] = [_START] * count
        self._kept = [0] * len(pairs.orders)  # 1 for an order that is to be kept, -1 for its reverse
        self._trail: list[int] = []  # orders, as they came to be kept
        self._seen = 0  # of these, by clauses
        self._level = [0] * (len(pairs.orders) // 2)  # per pair the decisions before it was kept, and why it is
        self._reasons: list[list[int] | tuple[Chain, Chain]] = [_DECISION] * len(self._level)
        self._undo: list[tuple[list[int], list[Chain], int, int, Chain]] = []
        self._marks: list[tuple[int, int]] = []  # per decision what was on the trail and to be undone before it
        self._changed = set(range(count))
        self._watched: list[list[list[int]]] = [[] for _ in pairs.orders]
        self._weights = np.ones(len(self._level))  # pairs that had a part in a contradiction are decided earlier
        self._weight = 1.0

    def is_hopeless(self) -> bool:
        """The ranges alone show that there is no plan."""
        return min(self._high, default=0) < 0 or self._contradiction() is not None

    def run(self, end: float, most: int) -> tuple[int, ...] | Literal["none", "unknown"]:
        """Offsets of a plan within the peak, "none" if there is none.

        "unknown" after `most` contradictions, or later, when the thread has used `end` seconds of processor time.
        """
        if min(self._high, default=0) < 0:
            return "none"
        restart_at, patience = _RESTART_AFTER, float(_RESTART_AFTER)
        while True:
            orders = self._contradiction()
            if orders is None:
                order = self._pairs.tightest(self._low, self._high, self._weights)
                if order is None:
                    return tuple(self._low)
                self._marks.append((len(self._trail), len(self._undo)))
                self._keep(order, _DECISION)
                continue
            self.contradictions += 1
            level = max((self._level[order >> 1] for order in orders), default=0)
            if level == 0:
                return "none"
            if self.contradictions >= most and time.thread_time() > end:
                return "unknown"
            self._back(level)
            clause, level = self._learned(orders)
            self._back(level)
            if self.contradictions >= restart_at and len(clause) > 1:
                patience *= _RESTART_GROWTH
                restart_at += int(patience)
                self._back(0)
            else:
                self._keep(clause[0], clause)

    def _keep(self, order: int, reason: list[int] | tuple[Chain, Chain]) -> None:
        self._kept[order], self._kept[order ^ 1] = 1, -1
        self._level[order >> 1] = len(self._marks)
        self._reasons[order >> 1] = reason
        self._trail.append(order)

    def _contradiction(self) -> list[int] | None:
        """Narrow ranges until nothing changes; orders that cannot be kept together if one is empty."""
        while True:
            while self._seen < len(self._trail):
                order = self._trail[self._seen]
                self._seen += 1
                found = self._broken_clause(order ^ 1) or self._moved(order)
                if found:
                    return found
            if not self._changed:
                return None
            found = self._narrowed(self._changed.pop())
            if found:
                return found

    def _narrowed(self, one: int) -> list[int] | None:
        """What follows around a block whose range has changed."""
        low, high, kept = self._low, self._high, self._kept
        for other, above, below, over, under in self._pairs.around[one]:
            found = None
            if kept[over] > 0:
                if low[other] + above > low[one] or high[one] - above < high[other]:
                    found = self._moved(over)
            elif kept[over] < 0:
                if low[one] + below > low[other] or high[other] - below < high[one]:
                    found = self._moved(under)
            else:
                is_over, is_under = high[one] - low[other] >= above, high[other] - low[one] >= below
                if not is_over and not is_under:
                    found = _orders(
                        self._high_chain[one], self._low_chain[other], self._high_chain[other], self._low_chain[one]
                    )
                elif not is_under:
                    self._keep(over, (self._high_chain[other], self._low_chain[one]))
                elif not is_over:
                    self._keep(under, (self._high_chain[one], self._low_chain[other]))
            if found:
                return found
        return None

    def _moved(self, order: int) -> list[int] | None:
        """Move what an order moves; where it cannot be kept, the orders that are in its way."""
        upper, lower, distance = self._pairs.orders[order]
        low, high = self._low, self._high
        if high[upper] - low[lower] < distance:
            return [order, *_orders(self._high_chain[upper], self._low_chain[lower])]
        if low[lower] + distance > low[upper]:
            self._undo.append((low, self._low_chain, upper, low[upper], self._low_chain[upper]))
            low[upper], self._low_chain[upper] = low[lower] + distance, (order, self._low_chain[lower])
            self._changed.add(upper)
        if high[upper] - distance < high[lower]:
            self._undo.append((high, self._high_chain, lower, high[lower], self._high_chain[lower]))
            high[lower], self._high_chain[lower] = high[upper] - distance, (order, self._high_chain[upper])
            self._changed.add(lower)
        return None

    def _broken_clause(self, order: int) -> list[int] | None:
        """Keep what clauses demand now that an order is not kept; the orders against one that cannot be met."""
        kept, waiting = self._kept, self._watched[order]
        left = []
        for position, clause in enumerate(waiting):
            if clause[0] == order:
                clause[0], clause[1] = clause[1], clause[0]
            place = 1 if kept[clause[0]] > 0 else next((n for n in range(2, len(clause)) if kept[clause[n]] >= 0), 0)
            if place > 1:
                clause[1], clause[place] = clause[place], clause[1]
                self._watched[clause[1]].append(clause)
                continue
            left.append(clause)
            if not place and kept[clause[0]] < 0:
                self._watched[order] = left + waiting[position + 1 :]
                return [one ^ 1 for one in clause]
            if not place:
                self._keep(clause[0], clause)
        self._watched[order] = left
        return None

    def _learned(self, orders: Sequence[int]) -> tuple[list[int], int]:
        """A clause that a contradiction shows, and the level at which its first order follows from it."""
        now, position = len(self._marks), len(self._trail)
        met: set[int] = set()
        clause: list[int] = []
        open_orders = 0
        while True:
            for order in orders:
                pair = order >> 1
                if pair not in met and self._level[pair]:
                    met.add(pair)
                    if self._level[pair] == now:
                        open_orders += 1
                    else:
                        clause.append(order ^ 1)
            position -= 1
            while self._trail[position] >> 1 not in met:
                position -= 1
            open_orders -= 1
            last = self._trail[position]
            if not open_orders:
                break
            reason = self._reasons[last >> 1]
            orders = [one ^ 1 for one in reason[1:]] if isinstance(reason, list) else _orders(*reason)
        self._weights[list(met)] += self._weight
        self._weight *= _WEIGHT_GROWTH
        clause.sort(key=lambda order: -self._level[order >> 1])
        clause.insert(0, last ^ 1)
        if len(clause) == 1:
            return clause, 0
        for order in clause[:2]:
            self._watched[order].append(clause)
        return clause, self._level[clause[1] >> 1]

    def _back(self, level: int) -> None:
        while len(self._marks) > level:
            kept, moved = self._marks.pop()
            for order in self._trail[kept:]:
                self._kept[order] = self._kept[order ^ 1] = 0
            del self._trail[kept:]
            while len(self._undo) > moved:
                bounds, chains, block, bound, chain = self._undo.pop()
                bounds[block], chains[block] = bound, chain
            self._changed.clear()
            self._seen = kept


def _orders(*chains: Chain) -> list[int]:
    found = []
    for order, before in chains:
        while before is not None:
            found.append(order)
            order, before = before
    return found
