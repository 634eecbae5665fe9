-- session_id is what the key's tokens name as their session. The secrets themselves are nowhere:
-- secret_hash is SHA-256 of one, in base64url.
CREATE TABLE api_key (
    id {serial},
    session_id {uuid} NOT NULL,
    name {text} NOT NULL,
    role varchar(16) NOT NULL CHECK (role IN ('SALES_REP', 'MANAGER', 'ADMIN')),
    client_id {text} NOT NULL,
    secret_hash {text} NOT NULL,
    created_at {time} NOT NULL,
    expires_at {time},
    last_used_at {time},
    revoked_at {time}
);
CREATE UNIQUE INDEX api_key_client ON api_key (client_id);
