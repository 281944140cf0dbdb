-- A chat numbers its own messages: the row lock on the chat makes that order the order of commits, so a page
-- that was read never gets a message in its middle later.
CREATE TABLE chats (
    id uuid PRIMARY KEY,
    last_message_id bigint NOT NULL CHECK (last_message_id > 0),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE messages (
    chat_id uuid NOT NULL REFERENCES chats (id) ON DELETE CASCADE,
    id bigint NOT NULL CHECK (id > 0),
    role text NOT NULL CHECK (role IN ('user', 'assistant', 'system')),
    content text NOT NULL CHECK (octet_length(content) BETWEEN 1 AND 65536),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (chat_id, id)
);
