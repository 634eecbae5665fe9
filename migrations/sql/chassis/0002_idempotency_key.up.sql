CREATE TABLE idempotency_key (
    actor {text} NOT NULL,
    operation {text} NOT NULL,
    key {text} NOT NULL,
    input_hash {text} NOT NULL,
    answer text,
    created_at {time} NOT NULL,
    PRIMARY KEY (actor, operation, key)
);
CREATE INDEX idempotency_key_created_at ON idempotency_key (created_at);
