"""Plain search for every family: the best actions, derived from observations and the family's rules.

A solver is a function of a family and one episode. It returns for every step the actions that the informed expert
should take, those that the fair one should, and the number of steps to success. It shares no code with the experts.
"""

from collections import defaultdict
from functools import cache
from typing import NamedTuple

import numpy as np

from incentivize.envs.families.codebooks import Codebooks
from incentivize.envs.families.errands import Errands
from incentivize.envs.families.mazes import Mazes
from incentivize.envs.families.programs import Programs
from incentivize.envs.families.puzzles import Puzzles
from incentivize.envs.families.sequences import Sequences

WAYS = ((-1, 0), (0, 1), (1, 0), (0, -1))  # north, east, south, west


class Episode(NamedTuple):
    """Observations and actions of an episode, NumPy arrays; the leading axis is time."""

    context: np.ndarray  # [T, C]
    entities: np.ndarray  # [T, E, F]
    entity_mask: np.ndarray  # [T, E]
    action: np.ndarray  # [T]
    task: np.ndarray  # [T, D]: digits that the dynamics obey


def spread(ahead, goal):
    """Count the steps to `goal` from every place, breadth first; `ahead(place)` are the places one step before it."""
    steps, layer = {goal: 0}, [goal]
    while layer:
        following = []
        for place in layer:
            for before in ahead(place):
                if before not in steps:
                    steps[before] = steps[place] + 1
                    following.append(before)
        layer = following
    return steps


def lowest(values):
    """Return the places of the least values."""
    return {place for place, value in enumerate(values) if value == min(values)}


def errands(family, episode):
    """Search around objects for the one that fits the description; later legs start from it."""
    size, each = family.size, family.attributes
    targets, firsts = [], []
    for leg in episode.task[0].reshape(family.chain, each).tolist():
        firsts.append([value for value in range(family.values) if value not in firsts][leg[0]])
        targets.append([firsts[-1], *leg[1:]])

    def moved(place, way):
        return (place[0] + way[0]) % size, (place[1] + way[1]) % size

    def ways(goal, blocked):
        return spread(lambda place: [to for way in WAYS if (to := moved(place, way)) not in blocked], goal)

    informed, distances = [], []
    for context, entities, mask in zip(episode.context, episode.entities, episode.entity_mask, strict=True):
        cells = {tuple(entity[:each].tolist()): tuple(entity[each:].tolist()) for entity in entities[mask]}
        assert len(cells) == mask.sum()  # no two objects are alike
        leg, agent, total = targets.index(context.tolist()), (0, 0), 0
        for target in targets[leg:]:
            goal = cells.pop(tuple(target))
            steps = ways(goal, set(cells.values()))
            if not total:
                informed.append(lowest([steps.get(moved(agent, way), 999) for way in WAYS]))
            total, agent = total + steps[agent], goal
        distances.append(total)
    return informed, informed, distances


def mazes(family, episode):
    """Search the map that is drawn around the agent."""
    tall, wide = (2 * (family.room or side) - 1 for side in (family.rows, family.columns))
    agent = tall // 2, wide // 2
    informed, distances = [], []
    for context in episode.context:
        north, east = context[:-2].reshape(2, tall, wide).tolist()
        goal = int(context[-2]), int(context[-1])

        def neighbours(place, north=north, east=east):
            row, column = place
            is_open = north[row][column], east[row][column], row + 1 < tall and north[row + 1][column]
            is_open += (column > 0 and east[row][column - 1],)
            return [(row + r, column + c) if free else place for free, (r, c) in zip(is_open, WAYS, strict=True)]

        steps = spread(neighbours, goal)
        informed.append(lowest([steps[place] for place in neighbours(agent)]))
        distances.append(steps[agent])
    return informed, informed, distances


OPERATIONS = (
    lambda a, b: a + 1,
    lambda a, b: -a,
    lambda a, b: b,
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: a * b,
    lambda a, b: max(a, b),
    lambda a, b: b - a + 1,
)


def programs(family, episode):
    """Carry out the page from the first registers on."""
    page = episode.context[0, 7:].reshape(-1, 3)[: family.length].tolist()
    registers, written = episode.context[0, 1:4].tolist(), []
    for operation, target, source in page:
        result = OPERATIONS[operation - 1](registers[target], registers[source]) % family.modulus
        registers[target] = result
        written.append(result)
    answers = registers if family.silent else written
    actions = [{answers[step]} for step in range(len(episode.context))]
    return actions, actions, [len(answers) - step for step in range(len(episode.context))]


def puzzles(family, episode):
    """Search backwards from the solved arrangement."""
    pieces, entities = episode.context[0].tolist(), episode.entities[0, :, 1:7].tolist()
    moves = [[pieces.index(piece) for piece in led] for led in entities]  # from which place each place takes its piece
    solved = tuple(range(6))

    def before(after):
        return [tuple(after[move.index(place)] for place in range(6)) for move in moves]

    steps = spread(before, solved)
    informed, distances = [], []
    for now in episode.context.tolist():
        informed.append(lowest([steps[tuple(now[place] for place in move)] for move in moves]))
        distances.append(steps[tuple(now)])
    return informed, informed, distances


def codebooks(family, episode):
    """Follow the answers that every cue may have, from the replies so far."""
    tries, steps = family.variant == "try", range(len(episode.context))
    possible = defaultdict(lambda: frozenset(range(4)))
    idle = {4} if tries else {0, 1, 2, 3}
    informed, fair = [], []
    for step in steps:
        exam, cue, reply, _ = episode.context[step].tolist()
        if reply:
            asked, action = int(episode.context[step - 1, 1]), int(episode.action[step - 1])
            (yes, no) = split(possible[asked], action, (step - 1) % family.study, tries)
            possible[asked] = yes if reply == 2 else no
        left, at = possible[cue], step % family.study
        if exam:
            informed.append({int(episode.task[step, cue])})
            fair.append(set(left))
            continue
        informed.append(idle)
        if tries:
            fair.append(set(left) if len(left) > 1 else idle)
        else:
            fair.append({4} if all(split(left, 4, at, tries)) else idle)
        assert fair[-1] <= most_telling(left, at, family.study, tries)
    return informed, fair, [family.horizon - step for step in steps]


def split(possible, action, at, tries):
    """Return the answers with the reply yes and those with no; if nothing is asked, all answers and none."""
    if tries != (action < 4):
        return possible, frozenset()
    yes = frozenset(answer for answer in possible if (answer == action if tries else answer >> at % 2 & 1))
    return yes, possible - yes


@cache
def chance(possible, at, study, tries):
    """Return the greatest chance of a right answer in the exam, from step `at` of a cue's study on."""
    if at == study:
        return 1 / len(possible)
    return max(chances(possible, at, study, tries))


def chances(possible, at, study, tries):
    """Return the greatest chance of a right answer in the exam after each of the five actions."""
    parts = [split(possible, action, at, tries) for action in range(5)]
    return [
        sum(len(part) / len(possible) * chance(part, at + 1, study, tries) for part in both if part) for both in parts
    ]


def most_telling(possible, at, study, tries):
    """Return the actions in study after which the chance of a right answer is greatest."""
    by_action = chances(possible, at, study, tries)
    return {action for action in range(5) if by_action[action] > max(by_action) - 1e-9}


def sequences(family, episode):
    """Predict the next token by the rule (informed) or by the examples so far (fair)."""
    known, informed, fair, recent = {}, [], [], ()
    anything = set(range(family.tokens))
    for step, (exam, token, begins) in enumerate(episode.context.tolist()):
        fresh = begins and (step == 0 or not episode.context[step - 1, 2] or len(recent) == family.order)
        if len(recent) == family.order and not begins and not exam:
            known[recent] = token
        recent = (token,) if fresh else (*recent, token)[-family.order :]
        last = not exam and (step + 1) % family.length == 0  # a run ends, and another begins with any token
        if len(recent) < family.order or last:
            informed.append(anything)
            fair.append(anything)
            continue
        context = sum(value * family.tokens**power for power, value in enumerate(reversed(recent)))
        informed.append({int(episode.task[step, context])})
        fair.append({known[recent]} if recent in known else anything)
        assert not exam or recent in known  # the exam asks only what has been shown
    return informed, fair, [family.horizon - step for step in range(len(episode.context))]


SOLVERS = {
    Codebooks: codebooks,
    Errands: errands,
    Mazes: mazes,
    Programs: programs,
    Puzzles: puzzles,
    Sequences: sequences,
}


def solve(family, episode):
    """Solve an episode of a family as shipped, or of a life, attempt by attempt."""
    if type(family) in SOLVERS:
        return SOLVERS[type(family)](family, episode)
    if family.attempts == 1:  # a wrapper that plays some tasks as others: the state has the task that is played
        return solve(family.family, episode)
    inner, answers = family.family, ([], [], [])
    attempts = episode.context[:, -3]
    for attempt in np.unique(attempts):
        part = Episode(*(leaf[attempts == attempt] for leaf in episode))
        for total, more in zip(answers, solve(inner, part._replace(context=part.context[:, :-3])), strict=True):
            total.extend(more)
    return answers
