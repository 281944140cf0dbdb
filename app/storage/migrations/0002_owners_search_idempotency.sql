-- Only additions, and checks that become wider: the release before this one keeps working beside it. It writes neither
-- owner nor title, so both have defaults; its chats belong to nobody and stay invisible to clients.
ALTER TABLE chats
    ADD COLUMN owner text NOT NULL DEFAULT '' CHECK (char_length(owner) <= 64),
    ADD COLUMN title text NOT NULL DEFAULT '' CHECK (char_length(title) <= 200),
    ADD COLUMN updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ALTER COLUMN last_message_id SET DEFAULT 0,
    DROP CONSTRAINT chats_last_message_id_check,
    ADD CONSTRAINT chats_last_message_id_check CHECK (last_message_id >= 0);

CREATE INDEX chats_by_owner ON chats (owner, created_at DESC, id DESC);

ALTER TABLE messages ADD COLUMN edited_at timestamptz;

-- A text's words as the application sees them: letters, digits and underscores of any script, in lower case. PostgreSQL's
-- own parser would keep main.py, a host or a signed number whole. Words that no query can hold are left out: an index
-- cannot hold them either.
CREATE FUNCTION words_of(content text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT array_to_tsvector(array_remove(regexp_split_to_array(
        regexp_replace(lower(content COLLATE "und-x-icu"), '\w{255}\w*', ' ', 'g'), '\W+'
    ), ''))
$$;

CREATE INDEX messages_by_word ON messages USING gin (words_of(content));

-- A response is stored in the transaction of the write that it answers: a crash leaves both or neither.
CREATE TABLE idempotency_keys (
    owner text NOT NULL CHECK (char_length(owner) <= 64),
    key text NOT NULL CHECK (char_length(key) BETWEEN 1 AND 255),
    digest bytea NOT NULL,
    status integer NOT NULL,
    headers jsonb NOT NULL,
    body bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (owner, key)
);

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

CREATE TABLE feedback (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner text NOT NULL,
    score integer NOT NULL CHECK (score BETWEEN 1 AND 5),
    comment text NOT NULL CHECK (char_length(comment) <= 2000),
    chat_id uuid,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE web_vitals (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner text NOT NULL,
    page text NOT NULL CHECK (char_length(page) <= 200),
    variant text NOT NULL CHECK (char_length(variant) <= 32),
    metrics jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
