CREATE TABLE audit_log (
    id {uuid} PRIMARY KEY,
    at {time} NOT NULL,
    actor {text} NOT NULL,
    request_id {text} NOT NULL,
    action {text} NOT NULL,
    entity_id {text} NOT NULL,
    details text NOT NULL
);
CREATE INDEX audit_log_entity ON audit_log (entity_id, action, id);
