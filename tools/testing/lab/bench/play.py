# SPDX-License-Identifier: GPL-2.0
"""Runs scenarios round by round, and reports the results."""

import json
import os

from host import picture
from host.paths import BUILD, shown
from host.settings import bench_choice, chosen_release

from . import table
from .lab import Lab, in_turn


def rounds(lab, scenario, count):
    """Run all rounds of a scenario; each round has each contestant once."""
    seen = table.Seen()
    for number in range(1, count + 1):
        # The load before this round adds to it.
        print(f"{scenario.NAME}, round {number} of {count}: the host's load is "
              f"{os.getloadavg()[0]:.1f}", flush=True)
        for contestant, figures in scenario.play(lab, in_turn(scenario.SETUPS, number)):
            seen.add(contestant, figures)
            print(f"    {contestant}: {scenario.brief(figures)}", flush=True)
    scenario.conclude(seen)
    return seen


class Outcome:
    """The results: on the terminal, in JSON, and in pictures; NAME begins the file names."""

    def __init__(self, name, conditions):
        self._name = name
        self._figures = BUILD / f"{name}.json"
        self._answer = {"conditions": conditions, "scenarios": {}}
        self._where = f"{conditions['kernel']}, {conditions['qemu']}, {conditions['date']}"
        self._bars = []
        self._pictures = []
        self.missed = []  # rows that miss their bounds

    def _keep(self, scenario, what):
        """Write the results now: the user may stop the next scenario."""
        self._answer["scenarios"][scenario.NAME] = what
        self._figures.write_text(json.dumps(self._answer, indent=1) + "\n", encoding="utf-8")

    def skip(self, scenario, problem):
        """Record that the machine cannot run a scenario."""
        print(f"{scenario.NAME}: not possible here: {problem}", flush=True)
        self._keep(scenario, {"unable": problem})

    def add(self, scenario, seen):
        """Add the results of a scenario."""
        results = [row.result(seen) for row in scenario.ROWS]
        table.report(scenario, results)
        self._keep(scenario, {"figures": seen.plain(),
                              "table": [result._asdict() for result in results]})
        self.missed += [f"{scenario.NAME}: {result.label}" for result in results if result.missed]
        self._bars += [(result.label, result.ratio, result.mark)
                       for result in results if result.mark]
        drawing = BUILD / f"{self._name}-{scenario.NAME}.png"
        if scenario.draw(self._where, drawing):
            self._pictures.append(drawing)

    def close(self):
        """Draw the pictures; print the paths of all files, and the missed bounds."""
        if self._bars:
            self._pictures.append(BUILD / f"{self._name}-ratios.png")
            picture.ratios(self._bars, "how many times better than the kernel's own driver\n"
                           f"{self._where}", self._pictures[-1])
        print(f"figures: {shown(self._figures)}")
        for drawing in self._pictures:
            print(f"picture: {shown(drawing)}")
        for label in self.missed:
            print(f"missed: {label}")


def scenarios(name, known, count):
    """Run all scenarios or the chosen one; fail if a bound is missed."""
    known = {scenario.NAME: scenario for scenario in known}
    names, count = bench_choice(known, count)
    lab = Lab(chosen_release())
    print(f"accelerator: {lab.accelerator.name} ({lab.accelerator.reason})", flush=True)
    outcome = Outcome(name, {**lab.conditions(), "rounds": count})
    for scenario in (known[chosen]() for chosen in names):
        problem = scenario.unable()
        if problem:
            outcome.skip(scenario, problem)
            continue
        with scenario.around():
            outcome.add(scenario, rounds(lab, scenario, scenario.rounds(count)))
    outcome.close()
    return 1 if outcome.missed else 0
