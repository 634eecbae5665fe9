-- Events to publish, in the order of position. Kept for some days after they were published first.
CREATE TABLE outbox (
    position {bigserial},
    id {uuid} NOT NULL UNIQUE,
    kind {text} NOT NULL,
    envelope text NOT NULL,
    created_at {time} NOT NULL,
    published_at {time},
    keep_until {time}
);
-- What is to be published is looked for all the time, and is little
CREATE INDEX outbox_unpublished ON outbox (position) WHERE published_at IS NULL;
CREATE INDEX outbox_keep_until ON outbox (keep_until) WHERE keep_until IS NOT NULL;
-- Numbers that grow without gaps: whoever takes one holds its row until the transaction ends
CREATE TABLE counter (
    name {text} PRIMARY KEY,
    value bigint NOT NULL
);
