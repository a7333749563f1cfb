# SPDX-License-Identifier: GPL-2.0
"""A guest with two nodes: the balloon uses both, and gives back on the node that is short."""

import pytest

from host.memtool import roaming_after
from host.nodes import Node, numa
from host.paths import MIB

pytestmark = [pytest.mark.ours, pytest.mark.any_transport]

NODE = 1024  # MiB of each node
TARGET = NODE * MIB  # a half of the guest
BOUND = 600  # MiB that one node cannot do without
LEAST = 64 * MIB  # each node keeps this much free
WORTH = 64 * MIB  # of balloon on a node, at least, for a test of giving back

# The kernel's report of an out-of-memory that it ends by killing a process.
OOM_REPORT = (r"oom|Out of memory|Mem-Info|Tasks state|\[ *(pid|\d+)\]|Call Trace|Tainted"
              r"|</?TASK>|\+0x[0-9a-f]+/0x|^(CPU|Hardware name|RIP|RSP|R..|Code|ORIG|CS)"
              r"|^(Node|active_anon|lowmem_reserve|Free swap|Total swap)|total pagecache|pages? "
              r"| in swap cache|hugepages_")


@pytest.fixture(scope="module", name="machine")
def fixture_machine(share):
    """A guest of its own, as no other has two nodes."""
    with share(name="nodes", memory=2 * NODE, extra=numa((NODE, NODE))) as own:
        yield own


@pytest.fixture(name="nodes")
def fixture_nodes(balloon):
    """Both nodes."""
    return [Node(balloon.guest, number) for number in (0, 1)]


def test_each_node_keeps_some(balloon, nodes):
    """The driver takes from a node what the node can spare, whatever its number."""
    guest = balloon.guest
    guest.run(nodes[0].bound(f"memtool fill /data/bound {BOUND} 1"))
    balloon.reach(TARGET)
    free = [node.free() for node in nodes]
    print("free MiB of each node:", *(size // MIB for size in free))
    print("balloon MiB on each node:", *(node.marked() // MIB for node in nodes))
    guest.run(f"memtool verify /data/bound {BOUND} 1; rm /data/bound")
    assert min(free) >= LEAST, free


def on_each(balloon, nodes):
    """Bytes of balloon on each node; the balloon is at rest and has pages on both."""
    balloon.set(TARGET)
    balloon.wait(TARGET)
    balloon.wait_state("idle")
    sizes = [balloon.unmoved(node.marked, balloon.rests) for node in nodes]
    print("balloon MiB on each node:", *(size // MIB for size in sizes))
    assert min(sizes) > WORTH, sizes
    return sizes


def given(guest, before):
    """Bytes that the balloon has given back since `before`."""
    return (guest.vmstat()["balloon_deflate"] - before["balloon_deflate"]) * 4096


def test_bound_task_gets_what_lies_on_its_node(reserve, nodes):
    """A task gets half of the balloon on its node; pages on the other node stay."""
    guest = reserve.guest
    near, far = on_each(reserve, nodes)
    before = guest.vmstat()
    need = (nodes[0].free() + near // 2) // MIB
    with guest.job(nodes[0].bound(f"memtool roam {need}")) as task:
        task.wait_output("roaming")
        after, back = nodes[1].marked(), given(guest, before)
    print(f"{need} MiB after {roaming_after(task.output)} s: {back // MIB} MiB given back, "
          f"{after // MIB} MiB of the other node's are left")
    assert guest.vmstat()["oom_kill"] == before["oom_kill"]
    assert near // 4 < back <= near
    assert after >= far


@pytest.mark.logs(OOM_REPORT)
def test_bound_task_cannot_be_helped_by_another_node(reserve, nodes):
    """A task that needs more than its node is killed; the other node's balloon stays."""
    guest = reserve.guest
    near, far = on_each(reserve, nodes)
    before = guest.vmstat()
    with guest.job(nodes[0].bound(f"memtool roam {NODE + BOUND}")) as task:
        task.wait(check=False)
        after, back = nodes[1].marked(), given(guest, before)
    print(f"{back // MIB} MiB given back, {after // MIB} MiB of the other node's are left")
    assert guest.vmstat()["oom_kill"] == before["oom_kill"] + 1
    assert back <= near
    assert after >= far
