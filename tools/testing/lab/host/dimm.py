# SPDX-License-Identifier: GPL-2.0
"""Memory hot-plug."""

from .guest import PAGE_SIZE
from .until import HANG_SECONDS

MEMORY = "/sys/devices/system/memory"

# ACPI 6.5, 6.3.5: the guest's answers (_OST) to a plug or an eject request.
EJECT_REQUEST = 3
SUCCESS = 0
EJECTION_PENDING = range(0x80, 0x100)


class Refused(Exception):
    """The guest refuses to change the state of its memory."""


def change(guest, block, state):
    """Take a memory block offline, or back ("online_kernel", "online_movable")."""
    # A job of its own, because init does not answer during a write.
    with guest.job(f"echo {state} > {MEMORY}/{block}/state") as job:
        if not job.ended(HANG_SECONDS):
            raise Refused(f"{block} is not {state} within {HANG_SECONDS} s")
        if job.status:
            raise Refused(f"{block} does not go {state}: {job.output.strip()}")


def blocks(guest):
    """Names of the memory blocks that the guest has now, by address."""
    names = guest.run(f"cd {MEMORY}; echo memory[0-9]*").split()
    return sorted(names, key=lambda name: int(name.removeprefix("memory")))


class Dimm:
    """A DIMM; the guest's `auto_online_blocks` chooses the zone of its memory."""

    def __init__(self, guest, name, size):
        self.guest = guest
        self.name = name
        self.size = size
        self.blocks = []  # names of its memory blocks in sysfs
        self.pages = range(0)  # its page frame numbers

    def plug(self):
        """Plug it; return when all of it is online."""
        qmp = self.guest.qmp
        since = len(qmp.events)
        qmp.execute("object-add", **{"qom-type": "memory-backend-ram"},
                    id=f"{self.name}-ram", size=self.size)
        qmp.execute("device_add", driver="pc-dimm", id=self.name, memdev=f"{self.name}-ram")
        self.guest.memory += self.size
        event, _ = qmp.wait_event("ACPI_DEVICE_OST", since, HANG_SECONDS, self._is_answer)
        if not event or event["data"]["info"]["status"] != SUCCESS:
            raise Refused(f"the guest does not take {self.name}: {event}")
        self._find()
        for block in self.blocks:
            if (state := self.state(block)) != "online":
                raise Refused(f"{block} of {self.name} is {state}")

    def _find(self):
        device = next(device["data"] for device in self.guest.qmp.execute("query-memory-devices")
                      if device["data"]["id"] == self.name)
        size = int(self.guest.read(f"{MEMORY}/block_size_bytes"), 16)
        start, end = device["addr"], device["addr"] + device["size"]
        self.blocks = [f"memory{number}" for number in range(start // size, end // size)]
        self.pages = range(start // PAGE_SIZE, end // PAGE_SIZE)

    def unplug(self):
        """Unplug it; return when the guest has released it."""
        qmp = self.guest.qmp
        since = len(qmp.events)
        qmp.execute("device_del", id=self.name)
        event, _ = qmp.wait_event(
            ("DEVICE_DELETED", "MEM_UNPLUG_ERROR", "DEVICE_UNPLUG_GUEST_ERROR",
             "ACPI_DEVICE_OST"), since, HANG_SECONDS, self._is_end_of_unplug)
        if not event or event["event"] != "DEVICE_DELETED":
            raise Refused(f"the guest keeps {self.name}: "
                          f"{event or f'no answer for {HANG_SECONDS} s'}")
        qmp.execute("object-del", id=f"{self.name}-ram")
        self.guest.memory -= self.size
        self.blocks, self.pages = [], range(0)

    def _is_answer(self, data):
        return data.get("info", {}).get("device") == self.name

    def _is_end_of_unplug(self, data):
        if not self._is_answer(data):
            return data.get("device") == self.name
        return (data["info"]["source"] == EJECT_REQUEST
                and data["info"]["status"] != SUCCESS
                and data["info"]["status"] not in EJECTION_PENDING)

    def state(self, block):
        """The state of one of its blocks in sysfs."""
        return self.guest.read(f"{MEMORY}/{block}/state").strip()

    @property
    def online(self):
        """Bytes of it that are online."""
        states = [self.state(block) for block in self.blocks]
        return states.count("online") * self.size // max(len(states), 1)

    def change(self, block, state):
        """Take one of its blocks offline, or back ("online_movable")."""
        change(self.guest, block, state)
