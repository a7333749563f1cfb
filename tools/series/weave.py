# SPDX-License-Identifier: GPL-2.0
"""Which lines of a file come with which step, and which of them a later step takes away.

The overlay has a file's lines after the last step.  A weave adds the step of each
line, and the text of the lines that are gone by then.  So a file as it is after any
step follows from both, and no line of the driver stands in two places.

An edit of the overlay needs no edit of a weave: absorb() gives each new line the step
of the lines that it replaces, or of the line before it.
"""

import difflib
import hashlib
from typing import NamedTuple

HEADER = "# SPDX-License-Identifier: GPL-2.0\n# Written by tools/series/series.py: see weave.py.\n"
TEXT = "|"  # before each line that is gone in the end
MOVED = 10  # characters of a line that tells where it came from, at least
ALIKE = 0.6  # of a line that replaces another, as difflib counts


class Line(NamedTuple):
    """A line, the step that adds it, and the step that takes it away, or None."""
    text: str
    born: str
    dies: str | None = None


def blob(text):
    """The name that git gives to a file of this content."""
    content = text.encode()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def opcodes(old, new):
    """How two lists of lines differ, as difflib has it."""
    if old == new:
        return [("equal", 0, len(old), 0, len(new))]
    return difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()


class Weave:
    """All lines that a file ever has, in their order."""

    def __init__(self, lines=()):
        self.lines = list(lines)

    def after(self, steps):
        """The file's text once these steps are done."""
        return "".join(line.text for line in self.lines
                       if line.born in steps and line.dies not in steps)

    def is_plain(self):
        """Does all of it come with one step, to stay?"""
        return len({line.born for line in self.lines}) <= 1 and \
            not any(line.dies for line in self.lines)

    def _split(self):
        """For each line that stays, what is gone in the end and stood before it; the rest last."""
        kept, gone = [], [[]]
        for line in self.lines:
            if line.dies:
                gone[-1].append(line)
            else:
                kept.append(line)
                gone.append([])
        return kept, gone

    def deleted(self, text):
        """The lines that are none of the new text's."""
        kept, _ = self._split()
        new = text.splitlines(True)
        return [kept[i] for tag, start, end, _, _ in opcodes([line.text for line in kept], new)
                if tag in ("replace", "delete") for i in range(start, end)]

    def absorb(self, text, moved):
        """The weave of another text, which `moved` knows some lines of: {text: step}."""
        kept, gone = self._split()
        new = text.splitlines(True)
        lines = []
        for tag, start, end, left, right in opcodes([line.text for line in kept], new):
            if tag == "equal":
                for i in range(start, end):
                    lines += [*gone[i], kept[i]]
                continue
            for i in range(start, end):
                lines += gone[i]
            before = kept[start - 1].born if start else kept[0].born
            lines += adopt(new[left:right], kept[start:end], before, moved)
        return Weave(lines + gone[-1])

    def adopt(self, text, step, moved):
        """The weave of a text that is new, but for lines that `moved` knows."""
        return Weave(adopt(text.splitlines(True), [], step, moved, step))

    def not_before(self, first, order):
        """The same for a file that comes with step `first`, in the order of all steps."""
        def late(step):
            return step and max(step, first, key=order.index)
        return Weave(line._replace(born=late(line.born)) for line in self.lines
                     if not line.dies or order.index(line.dies) > order.index(first))

    def step(self, name, steps, text):
        """The weave once another step makes this text of the file."""
        new = text.splitlines(True)
        there = [i for i, line in enumerate(self.lines)
                 if line.born in steps and line.dies not in steps]
        old = [self.lines[i].text for i in there]
        lines, done = [], 0
        for tag, start, end, left, right in opcodes(old, new):
            until = there[end - 1] + 1 if end > start else done
            for line in self.lines[done:until]:
                visible = line.born in steps and line.dies not in steps
                lines.append(line._replace(dies=name) if visible and tag != "equal" else line)
            done = max(done, until)
            if tag != "equal":
                lines += [Line(text, name) for text in new[left:right]]
        return Weave(lines + self.lines[done:])


def adopt(new, replaced, before, moved, default=None):
    """Lines that are new, each with its step; a default holds for one line at a time."""
    steps = {line.born for line in replaced}
    lines = []
    for text in new:
        if default and len(text.strip()) >= MOVED:
            before = default
        alike = difflib.get_close_matches(text, [line.text for line in replaced], 1, ALIKE)
        if moved.get(text.strip()):
            before = moved[text.strip()]
        elif len(steps) == 1:
            before, = steps
        elif alike:
            before = next(line.born for line in replaced if line.text == alike[0])
        lines.append(Line(text, before))
    return lines


def moves(deleted):
    """{stripped text: step} of deleted lines that are found again if they were moved."""
    found = {}
    for line in deleted:
        text = line.text.strip()
        if len(text) >= MOVED:
            # Lines of two steps tell nothing.
            found[text] = None if found.get(text, line.born) != line.born else line.born
    return found


def woven(states):
    """The weave of a file that is so after each step: pairs of a step and a text."""
    weave, steps = Weave(), set()
    for name, text in states:
        weave = weave.step(name, steps, text)
        steps.add(name)
    return weave


def dump(weave):
    """What is kept of a weave: runs of lines, and the text of those that are gone."""
    final = "".join(line.text for line in weave.lines if not line.dies)
    out, run = [HEADER, f"blob {blob(final)}\n"], []
    for line in [*weave.lines, None]:
        if run and (line is None or line[1:] != run[0][1:]):
            first = run[0]
            out.append(f"{first.born} {len(run)}" + (f" until {first.dies}\n" if first.dies
                                                     else "\n"))
            if first.dies:
                out += [TEXT + old.text for old in run]
            run = []
        run.append(line)
    return "".join(out)


def of_blob(kept):
    """The git blob that a kept weave is about."""
    return kept.splitlines()[2].split()[1]


def load(kept, text):
    """The weave, from what dump() made of it and the text that it is about."""
    rest = iter(text.splitlines(True))
    lines, source = [], iter(kept.splitlines(True)[3:])
    for run in source:
        born, count, *more = run.split()
        dies = more[1] if more else None
        for _ in range(int(count)):
            lines.append(Line(next(source)[len(TEXT):] if dies else next(rest), born, dies))
    return Weave(lines)
