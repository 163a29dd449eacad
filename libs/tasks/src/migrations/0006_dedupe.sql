-- A dedupe key that outlasts its task.
ALTER TABLE tasks ADD COLUMN dedupe_until timestamptz;
CREATE INDEX tasks_dedupe_until ON tasks (name, dedupe_key) WHERE dedupe_until IS NOT NULL;
