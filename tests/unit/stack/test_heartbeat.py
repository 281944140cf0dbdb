"""What `up` says of a swarm that takes a silent node for lost soon."""

from __future__ import annotations

import docker

from ops.stack import heartbeat


def test_docker_s_own_heartbeat_is_advised_against() -> None:
    said = heartbeat.advice(5)
    assert "not heard of for 15 s for lost" in said
    assert "docker swarm update --dispatcher-heartbeat 15s" in said


def test_there_is_nothing_to_say_of_the_one_that_a_lab_has_or_a_longer_one() -> None:
    made = heartbeat.spec(docker.APIClient(version="1.41"))["Dispatcher"]["HeartbeatPeriod"] / 10**9
    assert heartbeat.advice(made) == heartbeat.advice(60) == ""
