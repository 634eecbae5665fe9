CREATE TABLE task (
    id {serial},
    title {text} NOT NULL,
    description {text},
    due_date {time},
    completed boolean NOT NULL,
    completed_at {time},
    source varchar(16) NOT NULL CHECK (source IN ('MANUAL', 'AI_SUGGESTED', 'DISMISSED')),
    -- The kind of recommendation; null for tasks that people made
    suggestion_kind {text},
    ai_reasoning {text},
    priority varchar(8) CHECK (priority IN ('LOW', 'MEDIUM', 'HIGH')),
    lead_id integer NOT NULL,
    created_at {time} NOT NULL,
    updated_at {time} NOT NULL,
    CHECK (completed = (completed_at IS NOT NULL)),
    CHECK (source <> 'AI_SUGGESTED' OR suggestion_kind IS NOT NULL)
);
-- One index for each order a list can have
CREATE INDEX task_created_at ON task (created_at, id);
CREATE INDEX task_due_date ON task (due_date, id);
CREATE INDEX task_lead ON task (lead_id, created_at, id);
-- What is still to be done, and what waits for a decision
CREATE INDEX task_completed ON task (completed, due_date, id);
CREATE INDEX task_source ON task (source, created_at, id);
