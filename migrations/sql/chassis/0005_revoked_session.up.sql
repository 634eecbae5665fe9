-- Sessions whose tokens count no longer, until the last of these ends by itself
CREATE TABLE revoked_session (
    session {text} PRIMARY KEY,
    expires_at {time} NOT NULL
);
CREATE INDEX revoked_session_expires_at ON revoked_session (expires_at);
