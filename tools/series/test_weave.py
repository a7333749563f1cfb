# SPDX-License-Identifier: GPL-2.0
"""What a weave keeps of an edit, of a move, and of commits."""

import random
import unittest

import weave

STEPS = ["one", "two", "three"]


def history(rng):
    """Texts of a file after each step: lines come, go and change."""
    texts, lines = [], []
    for step in STEPS:
        lines = [line for line in lines if rng.random() > 0.2]
        for _ in range(rng.randrange(1, 9)):
            lines.insert(rng.randrange(len(lines) + 1), f"{step} {rng.randrange(9)}\n")
        texts.append("".join(lines))
    return texts


class TestWeave(unittest.TestCase):
    """Each test tries many random histories, always the same ones."""

    def setUp(self):
        self.rng = random.Random(1)

    def histories(self):
        """A history and its weave, many times."""
        for _ in range(300):
            texts = history(self.rng)
            yield texts, weave.woven(zip(STEPS, texts))

    def expect(self, woven, texts):
        """The file is so after each step."""
        for number, text in enumerate(texts, 1):
            self.assertEqual(woven.after(set(STEPS[:number])), text)

    def test_has_each_step(self):
        """Each step's text comes out of a weave, and of what is kept of it."""
        for texts, woven in self.histories():
            self.expect(woven, texts)
            self.expect(weave.load(weave.dump(woven), texts[-1]), texts)

    def test_absorbs_any_edit(self):
        """The last text is the edited one; an edit of one step's lines leaves earlier ones."""
        for texts, woven in self.histories():
            lines = texts[-1].splitlines(True)
            mine = [i for i, line in enumerate(lines) if line.startswith("three")]
            if not mine:
                continue
            lines[self.rng.choice(mine)] = "three is different\n"
            edited = woven.absorb("".join(lines), {})
            self.expect(edited, [*texts[:-1], "".join(lines)])
            self.rng.shuffle(lines)
            shuffled = woven.absorb("".join(lines), {})
            self.assertEqual(shuffled.after(set(STEPS)), "".join(lines))

    def test_edit_of_an_early_line_is_in_all_steps(self):
        """So a change of one line of the driver is one edit."""
        woven = weave.woven(zip(STEPS, ["a\n", "a\nb\n", "a\nb\nc\n"]))
        self.expect(woven.absorb("A\nb\nc\n", {}), ["A\n", "A\nb\n", "A\nb\nc\n"])

    def test_lines_keep_their_step_in_another_file(self):
        """A function that moves is part of the step that it came with."""
        function = "int balloon_f(void)\n{\n\treturn balloon_value;\n}\n"
        woven = weave.woven(zip(STEPS, ["a\n", f"a\n{function}", f"a\n{function}c\n"]))
        moved = weave.moves(woven.deleted("a\nc\n"))
        other = weave.Weave().adopt(f"// another file\n\n{function}", "one", moved)
        self.expect(other, ["// another file\n\n"] + [f"// another file\n\n{function}"] * 2)

    def test_a_file_comes_with_its_step(self):
        """Lines of earlier steps come with it, and what was gone by then does not come."""
        woven = weave.woven(zip(STEPS, ["a\nx\n", "a\nb\n", "a\nb\nc\n"]))
        self.expect(woven.not_before("two", STEPS), ["", "a\nb\n", "a\nb\nc\n"])


if __name__ == "__main__":
    unittest.main()
