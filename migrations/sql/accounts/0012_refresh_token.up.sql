-- The tokens themselves are nowhere: hash is SHA-256 of one, in base64url.
CREATE TABLE refresh_token (
    hash {text} PRIMARY KEY,
    session_id {uuid} NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    created_at {time} NOT NULL,
    expires_at {time} NOT NULL,
    used_at {time}
);
CREATE INDEX refresh_token_session ON refresh_token (session_id);
