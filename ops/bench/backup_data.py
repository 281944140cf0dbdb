"""What the benchmark of backups puts into PostgreSQL and Redis, and how it changes it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from infra import names
from ops.bench.stand import Stand
from ops.errors import DeployError

MESSAGES_IN_A_CHAT = 50
COUNT = "SELECT count(*) FROM messages"
_CHATS_AT_ONCE = 250
_CONNECTIONS = 2

# A question is a line of words. An answer is one word of hexadecimal digits, which compress to half of their size: so
# long a word is not in the index for searches, whose making would take most of the time that a dump needs to come back.
_FILL = """
INSERT INTO chats (id, owner, title, last_message_id)
SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, '{owner}', 'Chat ' || n, {messages}
FROM generate_series({first}, {last}) n;
INSERT INTO messages (chat_id, id, role, content)
SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, m,
    CASE m % 2 WHEN 1 THEN 'user' ELSE 'assistant' END,
    CASE m % 2 WHEN 1 THEN
        (SELECT string_agg(to_hex(abs(hashtext(n || '.' || m || '.' || i)) % 4096), ' ') FROM generate_series(1, 24) i)
    ELSE (SELECT string_agg(md5(n || '.' || m || '.' || i), '') FROM generate_series(1, 47) i) END
FROM generate_series({first}, {last}) n, generate_series(1, {messages}) m;
"""
# As after a while of use: else the first who reads a row writes to its page, and the next backup has all of them anew.
_SETTLE = "VACUUM (FREEZE, ANALYZE)"
_CHANGE = "UPDATE messages SET content = reverse(content) WHERE {which}"
# The chats of one hundredth of the users: those that are used, as the last ones mostly are.
_NEWEST = (
    "chat_id > (SELECT id FROM chats WHERE owner = '{owner}' ORDER BY id DESC OFFSET"
    " (SELECT count(*) / 100 FROM chats) LIMIT 1)"
)
# One row in a hundred, wherever it is: as bad as it gets for whoever stores only what has changed.
_SCATTERED = "abs(hashtext(chat_id::text || id)) % 100 = 0"


def sql(stand: Stand, statement: str) -> str:
    """What the stack's PostgreSQL answers to its superuser."""
    container = stand.container(names.POSTGRES, of_stack=True)
    command = ["psql", "--no-psqlrc", "-Atq", f"--dbname={names.POSTGRES_DATABASE}", "--set=ON_ERROR_STOP=1"]
    return stand.run_in(container, [*command, "--command", statement]).strip()


def fill(stand: Stand, *, postgres_mib: int, redis_mib: int) -> int:
    """Fills both until they have so much; gives the number of chats."""
    stand.run(["python", "fill_redis.py", str(redis_mib)])
    chats = int(sql(stand, "SELECT count(*) FROM chats"))  # some already, in a stack that was kept

    def add(first: int) -> None:
        last = first + _CHATS_AT_ONCE - 1
        sql(stand, _FILL.format(owner=names.API_CLIENT, first=first, last=last, messages=MESSAGES_IN_A_CHAT))

    # A connection uses one processor.
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        while database_bytes(stand) < postgres_mib << 20:
            list(pool.map(add, (chats + 1 + number * _CHATS_AT_ONCE for number in range(_CONNECTIONS))))
            chats += _CONNECTIONS * _CHATS_AT_ONCE
    sql(stand, _SETTLE)
    return chats


def database_bytes(stand: Stand) -> int:
    """What the database takes on the disk, indexes and all."""
    return int(sql(stand, f"SELECT pg_database_size('{names.POSTGRES_DATABASE}')"))


def redis_bytes(stand: Stand) -> int:
    """What Redis has in memory."""
    password = names.secret_path(names.REDIS_EXPORTER_PASSWORD)
    ask = f"redis-cli --no-auth-warning --user {names.REDIS_EXPORTER_USERNAME} INFO memory"
    container = stand.container(names.REDIS, of_stack=True)
    said = stand.run_in(container, ["bash", "-c", f"REDISCLI_AUTH=$(cat {password}) {ask}"])
    for line in said.splitlines():
        if line.startswith("used_memory:"):
            return int(line.partition(":")[2])
    raise DeployError(f"Redis does not say how much it has: {said[-200:]}")


def change_newest(stand: Stand) -> None:
    """Changes one row in a hundred: all messages of the newest chats."""
    sql(stand, _CHANGE.format(which=_NEWEST.format(owner=names.API_CLIENT)))


def change_scattered(stand: Stand) -> None:
    """Changes one row in a hundred, some in every part of the table."""
    sql(stand, _CHANGE.format(which=_SCATTERED))


def lose(stand: Stand) -> None:
    """The mistake that a restore takes back."""
    sql(stand, "TRUNCATE chats CASCADE")


def messages(stand: Stand) -> int:
    """How many there are."""
    return int(sql(stand, COUNT))
