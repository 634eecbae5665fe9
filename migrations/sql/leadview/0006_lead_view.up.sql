-- What the leads service told of each lead. Of one that was removed nothing stays but that it was
CREATE TABLE lead_view (
    id integer PRIMARY KEY,
    version integer NOT NULL,
    first_name {text},
    last_name {text},
    status {text},
    budget_cents bigint,
    has_phone boolean NOT NULL,
    location {text},
    owner_id integer,
    created_at {time},
    updated_at {time},
    removed_at {time},
    CHECK ((removed_at IS NULL) = (first_name IS NOT NULL)),
    CHECK (removed_at IS NULL OR (last_name IS NULL AND budget_cents IS NULL AND location IS NULL))
);
