DROP TABLE revoked_session;
