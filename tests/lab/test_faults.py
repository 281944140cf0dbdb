"""Each fault of a lab's node: that it is one, that it is no other node's, and that it can be taken back."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import docker
import pytest

from ops.errors import HostError, UsageError
from ops.lab import endpoint, faults, members, record, shell, status
from ops.lab.reference import Lab
from tests.lab.conftest import inside, reaches

pytestmark = pytest.mark.lab


def node(lab: Lab, name: str) -> status.Node:
    return next(found for found in status.of(lab).nodes if found.name == name)


def wait_until_well(lab: Lab) -> None:
    members.wait_until_ready(lab, record.require(lab))
    assert status.of(lab).is_well


def test_a_killed_leader_comes_back_into_the_swarm(lab: Lab) -> None:
    leader = next(found.name for found in status.of(lab).nodes if found.role == "leader")
    faults.kill(lab, leader)
    assert node(lab, leader).state == "exited"
    endpoint.of(lab)  # the others choose another
    with pytest.raises(HostError, match="is exited"):
        faults.kill(lab, leader)
    faults.start(lab, leader)
    wait_until_well(lab)


def test_a_stopped_node_comes_back_into_the_swarm(lab: Lab) -> None:
    faults.stop(lab, "n3")
    assert node(lab, "n3").state == "exited"
    faults.start(lab, "3")
    wait_until_well(lab)
    with pytest.raises(HostError, match="is running"):
        faults.start(lab, "n3")


def test_a_paused_node_stands_still_until_it_goes_on(host: docker.APIClient, lab: Lab) -> None:
    faults.pause(lab, "n2")
    assert node(lab, "n2").state == "paused"
    with pytest.raises(HostError, match="is paused"):
        faults.partition(lab, "n2")
    faults.unpause(lab, "n2")
    wait_until_well(lab)


def test_a_partition_cuts_off_both_ways_and_heal_removes_just_its_rules(host: docker.APIClient, lab: Lab) -> None:
    theirs = "iptables -w -t mangle -{} PREROUTING -s 192.0.2.7 -m comment --comment theirs -j DROP"
    inside(host, lab, 2, theirs.format("A"))
    before = shell.ask(host, lab.container(2), "iptables -w -t mangle -S")
    faults.partition(lab, "n2")
    assert node(lab, "n2").faults == ("partition",)
    assert not reaches(host, lab, 2, 1)
    assert not reaches(host, lab, 3, 2)
    assert reaches(host, lab, 1, 3)
    assert faults.heal(lab, "n2").detail == "ended: partition"
    assert shell.ask(host, lab.container(2), "iptables -w -t mangle -S") == before
    assert reaches(host, lab, 2, 1)
    inside(host, lab, 2, theirs.format("D"))
    wait_until_well(lab)


def test_a_partition_comes_and_goes_as_a_whole(host: docker.APIClient, lab: Lab) -> None:
    counting = (
        "end=$((SECONDS + 60)); while [ $SECONDS -lt $end ] && [ ! -e /run/enough ]; "
        "do iptables -w -t mangle -S | grep -c pidea-lab; done | sort -u; rm /run/enough"
    )
    with ThreadPoolExecutor(1) as pool:
        seen = pool.submit(inside, host, lab, 3, counting)
        faults.partition(lab, "n3")
        faults.heal(lab, "n3")
        inside(host, lab, 3, "touch /run/enough")
    # Two other nodes, both ways: four rules or none, never one neighbour less than another.
    assert seen.result()[1].split() == ["0", "4"]
    wait_until_well(lab)


def test_a_partition_from_one_node_leaves_the_others(host: docker.APIClient, lab: Lab) -> None:
    faults.partition(lab, "n1", ["n3"])
    assert not reaches(host, lab, 1, 3)
    assert reaches(host, lab, 1, 2)
    with pytest.raises(UsageError, match="from itself"):
        faults.partition(lab, "n1", ["n1"])
    faults.heal(lab, "n1")
    assert reaches(host, lab, 1, 3)
    wait_until_well(lab)


def test_a_one_way_partition_lets_through_what_comes(host: docker.APIClient, lab: Lab) -> None:
    faults.partition(lab, "n2", ["n1"], one_way=True)
    assert arriving(host, lab, 1, 2, packets=5) == 5
    assert arriving(host, lab, 2, 1, packets=5) == 0
    faults.heal(lab, "n2")
    assert arriving(host, lab, 2, 1, packets=5) == 5
    wait_until_well(lab)


def test_loss_and_rate_make_a_network_bad(host: docker.APIClient, lab: Lab) -> None:
    faults.slow(lab, "n3", loss_percent=50, rate_kbit=400)
    assert node(lab, "n3").faults == ("slow",)
    assert 5 < arriving(host, lab, 3, 1, packets=100) < 95
    faults.heal(lab, "n3")
    assert arriving(host, lab, 3, 1, packets=100) >= 99
    faults.slow(lab, "n3", rate_kbit=400)
    # 400 kB at 400 kbit/s take 8 s, of which the last 2 are in the sender's buffer; unhindered, a few milliseconds.
    assert sending_seconds(host, lab, 3, 1) > 2
    faults.heal(lab, "n3")
    assert sending_seconds(host, lab, 3, 1) < 2
    wait_until_well(lab)


def test_delay_works_or_the_kernel_is_said_to_lack_it(host: docker.APIClient, lab: Lab) -> None:
    try:
        faults.slow(lab, "n1", delay_ms=20)
    except HostError as error:
        assert "netem" in str(error)  # noqa: PT017 - either end is right, by the kernel
        assert node(lab, "n1").faults == ()
    else:
        assert node(lab, "n1").faults == ("slow",)
        faults.heal(lab, "n1")


@pytest.mark.parametrize(
    "how", [{}, {"loss_percent": 100.0}, {"loss_percent": -1.0}, {"rate_kbit": 0}, {"rate_kbit": 9, "delay_ms": 9}]
)
def test_a_slowness_that_is_none_is_refused(lab: Lab, how: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        faults.slow(lab, "n1", **how)


def test_a_full_disk_is_one_nodes_volumes_alone(host: docker.APIClient, lab: Lab) -> None:
    write = "dd if=/dev/zero of=/var/lib/docker/volumes/probe bs=64k count=16 status=none"
    faults.disk_full(lab, "n2")
    assert node(lab, "n2").faults == ("disk-full",)
    code, said = inside(host, lab, 2, write)
    assert code
    assert "No space left" in said
    assert inside(host, lab, 2, "touch /var/lib/docker/outside && rm /var/lib/docker/outside")[0] == 0
    assert inside(host, lab, 1, f"{write} && rm /var/lib/docker/volumes/probe")[0] == 0
    # The file system is in a sparse file, and the filler's blocks are set aside in it, not written.
    assert int(shell.ask(host, lab.container(2), "du -m /var/lib/docker/volumes.ext4 | cut -f1")) < 512
    faults.kill(lab, "n2")
    faults.start(lab, "n2")
    assert inside(host, lab, 2, write)[0], "a full disk is full after a restart too"
    faults.disk_free(lab, "n2")
    assert inside(host, lab, 2, f"{write} && rm /var/lib/docker/volumes/probe")[0] == 0
    wait_until_well(lab)


def arriving(host: docker.APIClient, lab: Lab, source: int, target: int, *, packets: int) -> int:
    """How many of so many small UDP packets arrive."""
    address = record.require(lab).address(target)
    listen = "rm -f /tmp/got; socat -u UDP-RECV:9999 OPEN:/tmp/got,creat,append >/dev/null 2>&1 & echo $! >/tmp/pid"
    inside(host, lab, target, listen)
    time.sleep(0.5)
    send = f"for i in $(seq {packets}); do echo x >/dev/udp/{address}/9999 2>/dev/null; sleep 0.005; done"
    inside(host, lab, source, send)
    time.sleep(1.0)
    inside(host, lab, target, "kill $(cat /tmp/pid)")
    return int(shell.ask(host, lab.container(target), "cat /tmp/got 2>/dev/null | wc -l"))


def sending_seconds(host: docker.APIClient, lab: Lab, source: int, target: int) -> float:
    """The time until the last of 400 kB has left the sender."""
    address = record.require(lab).address(target)
    inside(host, lab, target, "socat -u TCP-LISTEN:9998,reuseaddr /dev/null >/dev/null 2>&1 &")
    time.sleep(0.5)
    send = f"head -c 400000 /dev/zero | socat -u - TCP:{address}:9998,linger=60"
    inside(host, lab, source, f"start=$(date +%s%N); {send}; echo $(($(date +%s%N) - start)) >/tmp/took")
    return int(shell.ask(host, lab.container(source), "cat /tmp/took")) / 1e9
