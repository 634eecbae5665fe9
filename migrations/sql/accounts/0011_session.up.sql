CREATE TABLE session (
    id {uuid} PRIMARY KEY,
    user_id integer NOT NULL REFERENCES app_user (id),
    created_at {time} NOT NULL,
    expires_at {time} NOT NULL,
    revoked_at {time},
    reason varchar(16) CHECK (reason IN ('LOGOUT', 'DEACTIVATED', 'ROLE', 'PASSWORD', 'REPLAY')),
    CHECK ((revoked_at IS NULL) = (reason IS NULL))
);
CREATE INDEX session_by_user ON session (user_id, expires_at);
